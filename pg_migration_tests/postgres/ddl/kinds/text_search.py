"""Text search dictionaries, configurations, templates and parsers."""

CASES = {
    "configuration": """
        CREATE TEXT SEARCH DICTIONARY plain (TEMPLATE = simple, ACCEPT = false, STOPWORDS = english);
        CREATE TEXT SEARCH CONFIGURATION ours (PARSER = default);
        ALTER TEXT SEARCH CONFIGURATION ours ADD MAPPING FOR word, asciiword WITH plain, english_stem;
        CREATE TABLE t (a text, v tsvector GENERATED ALWAYS AS (to_tsvector('ours', coalesce(a, ''))) STORED);
        CREATE INDEX ON t USING gin (to_tsvector('ours'::regconfig, a));
    """,
    "template and parser": """
        CREATE TEXT SEARCH TEMPLATE tt (INIT = dsimple_init, LEXIZE = dsimple_lexize);
        CREATE TEXT SEARCH PARSER tp (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES =
            prsd_lextype, HEADLINE = prsd_headline);
        CREATE TEXT SEARCH CONFIGURATION c (PARSER = tp);
        ALTER TEXT SEARCH CONFIGURATION c ADD MAPPING FOR numword WITH simple;
        COMMENT ON TEXT SEARCH PARSER tp IS 'ours';
    """,
}
