{#- macros/books.sql on Spark; what each does is said there. -#}

{% macro spark__sha256_hex(text) -%}sha2({{ text }}, 256){%- endmacro %}
