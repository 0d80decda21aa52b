"""The data of the crash points: small, and yet several chunks, undated rows, a sequence and a foreign key."""

from __future__ import annotations

from tests.engine.crash.place import Place

TABLES = ("customers", "orders")
CONFIGURATION = """
[tables.customers]
[tables.orders]
day = "day"
"""
SCOPED = """
[tables.customers]
scopes = { pii = ["name"] }
[tables.orders]
day = "day"
scopes = { financial = ["price"], pii = ["note"] }
"""
PII = {"customers": "name", "orders": "note"}
SCRIPT = """
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE orders (id serial PRIMARY KEY, day date, customer int REFERENCES customers, price numeric, note text);
CREATE INDEX ON orders (day, note);
INSERT INTO customers SELECT i, md5(i::text) FROM generate_series(1, 40) i;
INSERT INTO orders (day, customer, price, note)
    SELECT CASE WHEN i % 10 > 0 THEN date '2025-01-01' + i % 90 END, 1 + i % 40, i / 4.0, md5(i::text)
    FROM generate_series(1, 300) i;
"""
CHANGE = """
UPDATE customers SET name = md5(name) WHERE id % 2 = 0;
UPDATE orders SET note = 'changed' WHERE day < '2025-02-01';
DELETE FROM orders WHERE day IS NULL AND id % 3 = 0;
INSERT INTO orders (day, customer, price, note) VALUES ('2025-05-01', 1, 1, 'new'), (NULL, 2, NULL, NULL);
"""
# No other table may reference rows that a restore in place replaces.
DAMAGE = """
ALTER TABLE orders DROP CONSTRAINT orders_customer_fkey;
DELETE FROM orders WHERE id % 3 = 0; UPDATE orders SET note = 'gone'; UPDATE customers SET name = '';
INSERT INTO orders (id, day, note) VALUES (9000, '2025-01-05', 'odd');
SELECT setval('orders_id_seq', 5);
"""
# The rows as another program prints them.
_HASH = "SELECT md5(string_agg({row}, '|' ORDER BY {row} COLLATE \"C\")) FROM {name} t"


def rows(place: Place, *, url: str | None = None, schema: str = "public") -> dict[str, str]:
    """A hash of all rows of each table that exists."""
    found: dict[str, str] = {}
    for table in TABLES:
        name = f"{schema}.{table}"
        if place.sql(f"SELECT to_regclass('{name}') IS NOT NULL", url=url) == [(True,)]:
            found[table] = place.sql(_HASH.format(row="t::text", name=name), url=url)[0][0]
    return found


def rows_without_pii(place: Place, *, url: str | None = None, schema: str = "public") -> dict[str, str]:
    """The same without the columns of the scope pii, whether the tables have them or not."""
    row = "(to_jsonb(t) - '{column}')::text"
    return {
        table: place.sql(_HASH.format(row=row.format(column=column), name=f"{schema}.{table}"), url=url)[0][0]
        for table, column in PII.items()
    }


def next_order(place: Place, *, url: str | None = None) -> int:
    """The number the sequence of orders gives next, without taking it."""
    query = "SELECT last_value + CASE WHEN is_called THEN 1 ELSE 0 END FROM public.orders_id_seq"
    return int(place.sql(query, url=url)[0][0])


def highest_order(place: Place, *, url: str | None = None) -> int:
    """The highest number in the table."""
    return int(place.sql("SELECT max(id) FROM public.orders WHERE id < 9000", url=url)[0][0])
