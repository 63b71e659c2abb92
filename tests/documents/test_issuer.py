"""issuer.yml: who sends the invoices. Optional, validated like the rest of the catalog, kept with its versions."""

import pyarrow.parquet as pq
import pytest

from models.catalog import Issuer
from models.focus import SERVICE_CATEGORIES
from pipelines.catalog import copy_product, list_products, load_configuration, save_versions
from pipelines.errors import ConfigurationError
from pipelines.home import Home


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    copy_product(home, "crm_usage_billing")
    return home


def write(home, text):
    (home.catalog / "issuer.yml").write_text(text, encoding="utf-8")
    return load_configuration(home).catalog.issuer


def test_without_a_document_the_issuer_is_visibly_unnamed(home):
    (home.catalog / "issuer.yml").unlink()
    issuer = load_configuration(home).catalog.issuer
    assert issuer == Issuer()
    assert (issuer.name, issuer.payment_terms_days) == ("Unnamed issuer", None)
    assert issuer.service_category == "Business Applications"


def test_everything_can_be_said(home):
    issuer = write(
        home,
        "name: Größe & Söhne\naddress: [Weg 1, Köln]\ntax_id: DE 1\nemail: a@b.example\nwebsite: b.example\n"
        "payment_terms_days: 0\npayment_instructions: [IBAN DE00, BIC X]\nnote: Danke\n"
        "service_subcategory: Generative AI\n",
    )
    assert (issuer.address, issuer.payment_terms_days) == (("Weg 1", "Köln"), 0)
    assert issuer.service_category == "AI and Machine Learning"


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ("nmae: A\n", "nmae", "did you mean name?"),
        ("payment_terms_days: 366\n", "payment_terms_days", "at most 365"),
        ("payment_terms_days: -1\n", "payment_terms_days", "at least 0"),
        ("payment_terms_days: 1.5\n", "payment_terms_days", "1.5"),
        ("service_subcategory: AI\n", "service_subcategory", "not a service subcategory of FOCUS"),
        ("address: Weg 1\n", "address", "list"),
    ],
)
def test_faults_are_named(home, text, path, words):
    with pytest.raises(ConfigurationError) as raised:
        write(home, text)
    [fault] = raised.value.faults
    assert (fault.file, fault.path.split()[0], words in str(fault)) == ("catalog/issuer.yml", path, True), (
        fault
    )


def test_a_version_keeps_the_issuer(home):
    before = load_configuration(home).catalog_version
    write(home, "name: A\naddress: [One, Two]\n")
    configuration = load_configuration(home)
    assert configuration.catalog_version != before
    save_versions(home, configuration)
    [row] = pq.read_table(
        home.lake / "catalog" / configuration.catalog_version / "issuer.parquet"
    ).to_pylist()
    assert (row["name"], row["address"], row["payment_terms_days"]) == ("A", "One\nTwo", None)
    assert row["service_category"] == SERVICE_CATEGORIES[row["service_subcategory"]]


@pytest.mark.parametrize("product", list_products())
def test_every_product_names_its_issuer(tmp_path, product):
    home = Home(tmp_path)
    copy_product(home, product)
    issuer = load_configuration(home).catalog.issuer
    assert issuer.name != Issuer().name
    assert issuer.payment_terms_days == 14
