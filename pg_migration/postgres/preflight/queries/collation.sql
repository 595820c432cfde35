-- How the database sorts text. Columns of a later version are missing (NULL) on an earlier one: the provider came with 15,
-- the ICU locale is in daticulocale in 15 and 16 and in datlocale from 17 on, rules are there from 16 on.
SELECT d.datcollate, d.datctype, coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') AS provider,
       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', '') AS locale,
       coalesce(to_jsonb(d) ->> 'daticurules', '') AS rules
  FROM pg_database d
 WHERE d.datname = current_database()
