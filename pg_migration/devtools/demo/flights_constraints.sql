-- Run after the rows are in.

ALTER TABLE flights
    ADD CONSTRAINT flights_departure_key UNIQUE (time_hour, carrier, flight, origin),
    ADD FOREIGN KEY (carrier) REFERENCES airlines ON UPDATE CASCADE,
    ADD FOREIGN KEY (origin) REFERENCES airports,
    -- Four airports in the Caribbean and some 700 planes are missing from the data.
    ADD FOREIGN KEY (dest) REFERENCES airports NOT VALID,
    ADD FOREIGN KEY (tailnum) REFERENCES planes ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED NOT VALID;

ALTER TABLE weather
    ADD FOREIGN KEY (origin) REFERENCES airports;

CREATE INDEX flights_tailnum_idx ON flights (tailnum);
CREATE INDEX flights_route_idx ON flights (origin, dest) INCLUDE (distance);
CREATE INDEX flights_delayed_idx ON flights (dep_delay DESC) WHERE dep_delay > 60;
CREATE INDEX planes_manufacturer_idx ON planes (lower(manufacturer));
CREATE INDEX weather_time_hour_idx ON weather USING brin (time_hour);

CREATE VIEW carrier_delays AS
    SELECT a.name, count(*) AS flights, round(avg(f.dep_delay), 1) AS minutes_late
    FROM flights AS f JOIN airlines AS a USING (carrier)
    GROUP BY a.name;

CREATE MATERIALIZED VIEW routes AS
    SELECT origin, dest, count(*) AS flights, round(avg(made_up), 1) AS minutes_made_up
    FROM flights
    GROUP BY origin, dest;

CREATE UNIQUE INDEX routes_idx ON routes (origin, dest);
