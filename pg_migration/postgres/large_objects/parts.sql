-- Large objects in parts, as the target puts them together: OID, number of the part, its bytes. An empty object is one part.
SELECT wanted.oid, part, lo_get(wanted.oid, part * {part}, {part})
  FROM unnest({oids}::oid[], {lengths}::bigint[]) AS wanted (oid, size)
 CROSS JOIN LATERAL generate_series(0::bigint, greatest(wanted.size - 1, 0) / {part}) AS part
