-- The three tables of the application. The upsert key of each is its UNIQUE constraint.
CREATE TABLE IF NOT EXISTS meta_import_data (
    id              serial PRIMARY KEY,
    day             date NOT NULL,
    campaign_name   varchar(255),
    ad_set_name     varchar(255),
    ad_name         varchar(255),
    amount_spent    numeric(10, 2),
    ctr             numeric(5, 4),
    cpm             numeric(8, 2),
    ad_set_delivery varchar(100),
    created_at      timestamp DEFAULT now(),
    UNIQUE (day, campaign_name, ad_set_name, ad_name)
);
CREATE INDEX IF NOT EXISTS meta_import_data_day_idx ON meta_import_data (day);

CREATE TABLE IF NOT EXISTS google_import_data (
    id              serial PRIMARY KEY,
    day             date NOT NULL,
    campaign        varchar(255),
    cost            numeric(10, 2),
    ctr             numeric(5, 4),
    cpm             numeric(8, 2),
    currency_code   varchar(3),
    campaign_status varchar(50),
    created_at      timestamp DEFAULT now(),
    UNIQUE (day, campaign)
);
CREATE INDEX IF NOT EXISTS google_import_data_day_idx ON google_import_data (day);

CREATE TABLE IF NOT EXISTS shopify_import_data (
    id                          serial PRIMARY KEY,
    day                         date NOT NULL,
    utm_campaign                varchar(255),
    utm_term                    varchar(255),
    utm_content                 varchar(255),
    landing_page_url            text,
    online_store_visitors       integer,
    sessions_completed_checkout integer,
    sessions_reached_checkout   integer,
    sessions_cart_additions     integer,
    average_session_duration    numeric(8, 2),
    pageviews                   integer,
    created_at                  timestamp DEFAULT now(),
    UNIQUE (day, utm_campaign, utm_term, utm_content)
);
CREATE INDEX IF NOT EXISTS shopify_import_data_day_idx ON shopify_import_data (day);
