-- The configuration of text search where none is named.
SELECT current_setting('default_text_search_config') AS name
