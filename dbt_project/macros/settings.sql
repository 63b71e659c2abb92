{#- What a build is told, as dbt's variables: they are of one invocation, where the environment is of a process. The
    values are read only while executing, so that a new clock or a new catalog version does not make dbt parse the
    whole project again. No defaults that could pass for a real value: a build without its settings fails. -#}

{% macro setting(name) -%}
    {%- if execute -%}{{ var(name) }}{%- else -%}not-known-while-parsing{%- endif -%}
{%- endmacro %}

{#- The clock of this build, an instant. -#}
{% macro as_of() -%}
    {%- if execute -%}cast('{{ setting("as_of") }}' as timestamp with time zone)
    {%- else -%}cast('1970-01-01T00:00:00+00:00' as timestamp with time zone){%- endif -%}
{%- endmacro %}

{#- What part of lake and ledger a build knows is told by files and a number; nothing told: all of it. A build that
    computes what was known before, or for some customers only, is told. -#}
{% macro knowledge(name) %}
    {%- if not execute -%}{{ return("") }}{%- endif -%}
    {{ return(var(name, "")) }}
{% endmacro %}

{% macro build_id() -%}{{ setting("build_id") }}{%- endmacro %}

{#- What a person asked to be rebuilt: {"days": [...]}, {"months": [...]}, {"all": true} or {}. -#}
{% macro rebuild_request(part) %}
    {%- if not execute -%}{{ return([]) }}{%- endif -%}
    {{ return(var("rebuild", {}).get(part, [])) }}
{% endmacro %}

{#- The last commit of the lake, as <number>:<SHA-256 of its file>. -#}
{% macro lake_head() -%}{{ setting("lake_head") }}{%- endmacro %}

{% macro lake_path(relative) -%}{{ setting("home") }}/lake/{{ relative }}{%- endmacro %}

{% macro quoted(value) -%}'{{ value | string | replace("'", "''") }}'{%- endmacro %}
