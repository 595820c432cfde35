-- What some large objects are: size, owner, privileges, comment and security labels, and a hash of the bytes where that is wanted. The hash is
-- the sum over the parts of each, so that none has to fit into memory.
SELECT m.oid::bigint, sized.size, hashed.digest, pg_get_userbyid(m.lomowner)::text, concat(m.lomacl),
       obj_description(m.oid, 'pg_largeobject'),
       ARRAY(SELECT ARRAY[l.provider, l.label]
               FROM pg_seclabel l
              WHERE l.classoid = 'pg_largeobject'::regclass AND l.objoid = m.oid AND l.objsubid = 0
              ORDER BY l.provider)
  FROM {sizes} AS sized
  JOIN pg_largeobject_metadata m ON m.oid = sized.oid
 CROSS JOIN LATERAL (SELECT sum(hash_array_extended(ARRAY[lo_get(m.oid, part * {part}, {part})], part)) AS digest
                       FROM generate_series(0::bigint, CASE WHEN {hashed} THEN greatest(sized.size - 1, 0) / {part} ELSE -1 END)
                            AS part) AS hashed
