-- The parameters that a setting of the database may be of; with the value where there is but one.
SELECT concat(s.name, CASE WHEN s.name = 'standard_conforming_strings'
                                AND to_number(current_setting('server_version_num'), '999999') >= 190000
                           THEN ' = ''on''' END) AS name
  FROM pg_settings s
