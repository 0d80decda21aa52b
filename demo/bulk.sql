-- Fills shopify_import_data on the server: made-up values from the hash of the row's number, the same every time.
-- Within a day the combination of campaign, term and content is the row's position in that day, so keys are unique.
-- created_at is that of the day's upload. Parameters: rows, per_day, first_day, and the lists of names.
INSERT INTO shopify_import_data (
    day, utm_campaign, utm_term, utm_content, landing_page_url, online_store_visitors, sessions_completed_checkout,
    sessions_reached_checkout, sessions_cart_additions, average_session_duration, pageviews, created_at
)
SELECT
    %(first_day)s::date + (n / %(per_day)s)::int,
    campaigns[1 + mod(place, cardinality(campaigns))],
    terms[1 + mod(place / cardinality(campaigns), cardinality(terms))],
    'creative ' || place / (cardinality(campaigns) * cardinality(terms)),
    'https://shop.example' || pages[1 + mod(one >> 3, cardinality(pages))],
    visitors,
    visitors * (two & 15) / 512,
    visitors * (two & 15) / 256,
    visitors * (two & 15) / 128,
    mod(two, 90000) / 100.0,
    visitors + visitors * (one & 7) / 3,
    %(first_day)s::timestamp + (n / %(per_day)s)::int * interval '1 day' + interval '27 hours'
FROM
    (SELECT %(campaigns)s::text[] AS campaigns, %(terms)s::text[] AS terms, %(pages)s::text[] AS pages) AS names,
    (
        SELECT
            n,
            mod(n, %(per_day)s)::int AS place,
            hashint8(n) & 2147483647 AS one,
            hashint8(n + 1000000007) & 2147483647 AS two,
            1 + (hashint8(n) & 1023) * (hashint8(n) & 1023) / 4096 AS visitors
        FROM generate_series(0::bigint, %(rows)s::bigint - 1) AS n
    ) AS numbered
ORDER BY n
