-- Large objects in batches, each of so many objects and about so many bytes at most: their OIDs and sizes as arrays, how
-- many objects and bytes that is, and the last OID. An object that is larger ends its batch.
SELECT concat(array_agg(counted.oid ORDER BY counted.oid)), concat(array_agg(counted.size ORDER BY counted.oid)),
       count(*), sum(counted.size)::bigint, max(counted.oid)::bigint
  FROM (SELECT sized.oid, sized.size,
               (row_number() OVER (ORDER BY sized.oid) - 1) / {objects} AS by_number,
               div(sum(sized.size) OVER (ORDER BY sized.oid ROWS UNBOUNDED PRECEDING) - sized.size, {bytes}) AS by_bytes
          FROM {sizes} AS sized) AS counted
 GROUP BY counted.by_number, counted.by_bytes
 ORDER BY min(counted.oid)
