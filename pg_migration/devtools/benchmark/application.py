"""The database of an application: many small tables that refer to each other, and a few large ones."""

# Each has the same eight tables, with few rows in most of them. Those of LARGE hold nearly all rows of the database.
AREAS = (
    *("assets", "billing", "booking", "calendar", "campaign", "catalog", "contract", "crm", "delivery", "forum"),
    *("helpdesk", "inventory", "metering", "payroll", "planning", "purchase", "repair", "sales", "survey", "training"),
)
LARGE = ("metering", "sales")

_CORE = """
    CREATE TYPE state AS ENUM ('draft', 'open', 'waiting', 'closed');
    CREATE TYPE address AS (street text, town text, code varchar(10));
    CREATE DOMAIN email AS text CHECK (VALUE ~ '^[^@]+@[^@]+$');
    CREATE SEQUENCE document_number START 1000 INCREMENT 5;
    CREATE TABLE languages (code char(2) PRIMARY KEY, name varchar(40) NOT NULL UNIQUE);
    CREATE TABLE countries (code char(2) PRIMARY KEY, name text NOT NULL, currency char(3) NOT NULL DEFAULT 'EUR');
    CREATE TABLE users (
        id serial PRIMARY KEY, login varchar(64) NOT NULL UNIQUE, mail email, home address,
        language char(2) NOT NULL REFERENCES languages, country char(2) REFERENCES countries,
        manager int REFERENCES users DEFERRABLE, active boolean NOT NULL DEFAULT true, born date, last_seen inet,
        preferences jsonb NOT NULL DEFAULT '{}', created timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX ON users (lower(login));
    CREATE INDEX ON users (manager) WHERE active;
    CREATE TABLE groups (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE);
    CREATE TABLE group_members (
        group_id int REFERENCES groups ON DELETE CASCADE, user_id int REFERENCES users ON DELETE CASCADE,
        since date NOT NULL DEFAULT current_date, PRIMARY KEY (group_id, user_id)
    );
    CREATE TABLE roles (id smallint PRIMARY KEY, name text NOT NULL, rights bit(4) NOT NULL DEFAULT B'1000');
    CREATE TABLE permissions (id smallint PRIMARY KEY, name text NOT NULL UNIQUE CHECK (name <> ''));
    CREATE TABLE role_permissions (
        role_id smallint REFERENCES roles, permission_id smallint REFERENCES permissions,
        PRIMARY KEY (role_id, permission_id)
    );
    CREATE TABLE settings (name text PRIMARY KEY, value text, changed timestamptz NOT NULL DEFAULT now());
    CREATE TABLE translations (
        language char(2) REFERENCES languages, message text, translation text NOT NULL, PRIMARY KEY (language, message)
    );
    CREATE TABLE sessions (
        id uuid PRIMARY KEY, user_id int NOT NULL REFERENCES users, began timestamp NOT NULL, lasted interval,
        token bytea
    );
    CREATE TABLE files (
        id bigserial PRIMARY KEY, name text NOT NULL, size bigint CHECK (size >= 0), sha256 bytea UNIQUE
    );
    CREATE TABLE audit (
        id bigserial PRIMARY KEY, at timestamptz NOT NULL, user_id int REFERENCES users, action smallint NOT NULL,
        object text NOT NULL, details jsonb
    );
    CREATE INDEX ON audit (at);
    CREATE INDEX ON audit (user_id, at);

    INSERT INTO languages SELECT chr(97 + i / 26) || chr(97 + i % 26), 'Language ' || i
        FROM generate_series(0, 39) AS i;
    INSERT INTO countries SELECT chr(97 + i / 26) || chr(97 + i % 26), 'Country ' || i
        FROM generate_series(0, 199) AS i;
    INSERT INTO users (login, mail, home, language, country, manager, born, last_seen, preferences)
        SELECT 'user' || i, 'user' || i || '@example.org', ROW('Road ' || i, 'Town', '10' || i)::address, 'ab', 'ac',
               nullif(i / 10, 0), date '1960-01-01' + i * 13, '10.0.0.0'::inet + i, jsonb_build_object('theme', i % 3)
        FROM generate_series(1, 500) AS i;
    INSERT INTO groups (name) SELECT 'Group ' || i FROM generate_series(1, 30) AS i;
    INSERT INTO group_members SELECT i % 30 + 1, i, '2024-01-01' FROM generate_series(1, 500) AS i;
    INSERT INTO roles SELECT i, 'Role ' || i FROM generate_series(1, 6) AS i;
    INSERT INTO permissions SELECT i, 'Permission ' || i FROM generate_series(1, 80) AS i;
    INSERT INTO role_permissions SELECT i % 6 + 1, i FROM generate_series(1, 80) AS i;
    INSERT INTO settings SELECT 'setting.' || i, md5(i::text), '2024-01-01' FROM generate_series(1, 120) AS i;
    INSERT INTO translations SELECT 'ab', 'Message ' || i, repeat('Nachricht ', i % 9 + 1)
        FROM generate_series(1, 900) AS i;
    INSERT INTO sessions SELECT md5(i::text)::uuid, i % 500 + 1, timestamp '2024-01-01' + i * interval '1 minute',
        i * interval '1 second', decode(md5(i::text), 'hex') FROM generate_series(1, 400) AS i;
    INSERT INTO files (name, size, sha256) SELECT 'file' || i, i * 1000, sha256(i::text::bytea)
        FROM generate_series(1, 300) AS i;
"""

_AUDIT_ROWS = """
    INSERT INTO audit (at, user_id, action, object, details)
        SELECT timestamptz '2024-01-01' + i * interval '7 seconds', i % 500 + 1, i % 6, 'object/' || i % 5000,
               jsonb_build_object('field', 'f' || i % 12, 'old', i, 'new', md5(i::text))
        FROM generate_series(1, {rows}) AS i;
"""

_AREA = """
    CREATE TABLE {area}_categories (
        id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, parent int REFERENCES {area}_categories,
        name text NOT NULL, UNIQUE (parent, name)
    );
    CREATE TABLE {area}_items (
        id bigserial PRIMARY KEY, number bigint NOT NULL DEFAULT nextval('document_number'),
        owner int NOT NULL REFERENCES users, title varchar(200) NOT NULL, state state NOT NULL DEFAULT 'draft',
        price numeric(12,2) CHECK (price >= 0), weight real, tags text[] NOT NULL DEFAULT '{{}}',
        attributes jsonb, note text, valid daterange,
        total numeric GENERATED ALWAYS AS (price * 1.19) STORED,
        created timestamptz NOT NULL DEFAULT now(), changed timestamptz, UNIQUE (number)
    );
    CREATE INDEX ON {area}_items (owner);
    CREATE INDEX ON {area}_items (lower(title));
    CREATE INDEX ON {area}_items (created) WHERE state <> 'closed';
    CREATE INDEX ON {area}_items USING gin (tags);
    CREATE TABLE {area}_item_categories (
        item_id bigint REFERENCES {area}_items ON DELETE CASCADE, category_id int REFERENCES {area}_categories,
        PRIMARY KEY (item_id, category_id)
    );
    CREATE TABLE {area}_notes (
        id bigserial PRIMARY KEY, item_id bigint NOT NULL REFERENCES {area}_items, author int REFERENCES users,
        body text NOT NULL, at timestamp NOT NULL DEFAULT localtimestamp
    );
    CREATE INDEX ON {area}_notes (item_id);
    CREATE TABLE {area}_attachments (
        id uuid PRIMARY KEY, item_id bigint NOT NULL REFERENCES {area}_items, file_id bigint REFERENCES files,
        preview bytea
    );
    CREATE TABLE {area}_events (
        id bigserial PRIMARY KEY, item_id bigint NOT NULL REFERENCES {area}_items, kind smallint NOT NULL,
        payload jsonb, at timestamptz NOT NULL
    );
    CREATE INDEX ON {area}_events (item_id, at);
    CREATE TABLE {area}_history (
        item_id bigint NOT NULL, clock int NOT NULL DEFAULT 0, value double precision NOT NULL,
        ns int NOT NULL DEFAULT 0
    );
    CREATE INDEX ON {area}_history (item_id, clock);
    CREATE TABLE {area}_options (
        name text PRIMARY KEY, value text, kind "char" NOT NULL DEFAULT 's', every interval, at time
    );
    CREATE VIEW {area}_open AS
        SELECT i.id, i.title, u.login, count(n.id) AS notes
        FROM {area}_items i JOIN users u ON u.id = i.owner LEFT JOIN {area}_notes n ON n.item_id = i.id
        WHERE i.state = 'open' GROUP BY i.id, i.title, u.login;
    CREATE FUNCTION {area}_touch() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN NEW.changed := now(); RETURN NEW; END$$;
    CREATE TRIGGER touch BEFORE UPDATE ON {area}_items FOR EACH ROW EXECUTE FUNCTION {area}_touch();
    COMMENT ON TABLE {area}_items IS 'What {area} is about';

    INSERT INTO {area}_categories (parent, name) SELECT nullif(i / 5, 0), 'Category ' || i
        FROM generate_series(1, 25) AS i;
    INSERT INTO {area}_items (owner, title, state, price, weight, tags, attributes, note, valid, created)
        SELECT i % 500 + 1, 'Item ' || i, (enum_range(NULL::state))[i % 4 + 1], i / 4.0, i / 3.0,
               ARRAY['t' || i % 7, 'u' || i % 3], jsonb_build_object('colour', i % 9, 'size', i / 8.0),
               CASE WHEN i % 5 = 0 THEN repeat('Long story. ', i % 40) END,
               daterange(date '2024-01-01', date '2024-01-01' + i % 90 + 1),
               timestamptz '2024-01-01' + i * interval '1 hour'
        FROM generate_series(1, {items}) AS i;
    INSERT INTO {area}_item_categories SELECT i, i % 25 + 1 FROM generate_series(1, {items}) AS i;
    INSERT INTO {area}_notes (item_id, author, body, at)
        SELECT i, i % 500 + 1, repeat('Note ' || i || '. ', i % 20 + 1), '2024-05-01'
        FROM generate_series(1, {items}) AS i;
    INSERT INTO {area}_attachments
        SELECT md5(i::text)::uuid, i, i % 300 + 1, decode(repeat(md5(i::text), 9), 'hex')
        FROM generate_series(1, {items} / 4) AS i;
    INSERT INTO {area}_events (item_id, kind, payload, at)
        SELECT i % {items} + 1, i % 12, jsonb_build_object('n', i, 'by', 'user' || i % 500),
               timestamptz '2024-01-01' + i * interval '1 minute'
        FROM generate_series(1, {rows}) AS i;
    INSERT INTO {area}_history SELECT i % {items} + 1, 1700000000 + i, i / 7.0, i % 1000000
        FROM generate_series(1, {rows} * 2) AS i;
    INSERT INTO {area}_options
        SELECT 'option.' || i, 'value ' || i, 's', i * interval '1 minute', time '08:00'
        FROM generate_series(1, 10) AS i;
"""


def application(rows: int) -> str:
    """SQL that makes 173 tables with views, functions and triggers.

    Args:
        rows: of the largest tables, about.
    """
    areas = [
        _AREA.format(area=area, items=400 if area in LARGE else 40, rows=rows // 2 if area in LARGE else 40)
        for area in AREAS
    ]
    return _CORE + _AUDIT_ROWS.format(rows=rows) + "".join(areas)
