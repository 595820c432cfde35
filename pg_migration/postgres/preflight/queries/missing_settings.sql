-- The settings among some that the server does not have. Those that are hidden from a role can't be set by it either.
SELECT n.name
  FROM unnest(%(names)s::text[]) AS n (name)
 WHERE NOT EXISTS (SELECT FROM pg_settings s WHERE lower(s.name) = lower(n.name))
