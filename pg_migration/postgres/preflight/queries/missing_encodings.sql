-- The encodings among some that the server does not know.
SELECT n.name
  FROM unnest(%(names)s::text[]) AS n (name)
 WHERE pg_char_to_encoding(n.name::name) < 0
