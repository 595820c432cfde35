-- Who owns some relations (an array of oids).
SELECT DISTINCT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = ANY (%(relations)s::oid[]) ORDER BY 1
