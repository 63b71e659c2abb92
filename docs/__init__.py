"""The documentation site: pages by hand, pages of marts made from the models. ``make docs`` builds it."""
