-- The sizes of large objects, to be put into FROM: the first so many that a condition holds for. Each is opened, and closed
-- before the next one is: OFFSET 0 keeps the server from doing it in another order.
(SELECT measured.oid, measured.size
   FROM (SELECT opened.oid, opened.fd, lo_lseek64(opened.fd, 0, 2) AS size
           FROM (SELECT chosen.oid, lo_open(chosen.oid, 262144) AS fd
                   FROM (SELECT m.oid FROM pg_largeobject_metadata m WHERE {chosen} ORDER BY m.oid LIMIT {limit}) AS chosen
                 OFFSET 0) AS opened
         OFFSET 0) AS measured
  WHERE lo_close(measured.fd) = 0)
