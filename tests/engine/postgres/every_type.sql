-- Every built-in type with its edge values, loadable on Postgres 15 and later. Needs an empty schema public.
CREATE TYPE public.mood AS ENUM ('sad', 'so so', 'happy "very"', '');
CREATE DOMAIN public.percent AS numeric(5, 2) CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN public.padded AS bpchar;
CREATE DOMAIN public.cash AS money;
CREATE TYPE public.pair AS (label text, amount numeric, "odd ""name""" bpchar);
CREATE TYPE public.moods AS RANGE (subtype = text, collation = "C");

CREATE TABLE public.every_type (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gone            integer,
    day             date,
    c_bool          boolean,
    c_int2          smallint,
    c_int4          integer,
    c_int8          bigint,
    c_oid           oid,
    c_float4        real,
    c_float8        double precision,
    c_numeric       numeric,
    c_numeric_p     numeric(10, 2),
    c_numeric_max   numeric(38, 38),
    c_numeric_over  numeric(60, 20),
    c_numeric_minus numeric(5, -3),
    c_numeric_int   numeric(20),
    c_money         money,
    c_text          text,
    c_varchar       varchar(20),
    c_varchar_free  varchar,
    c_char          char(6),
    c_bpchar        bpchar,
    c_one_byte      "char",
    c_name          name,
    c_bytea         bytea,
    c_uuid          uuid,
    c_json          json,
    c_jsonb         jsonb,
    c_jsonpath      jsonpath,
    c_xml           xml,
    c_date          date,
    c_time          time,
    c_time_3        time(3),
    c_timetz        timetz,
    c_timestamp     timestamp,
    c_timestamp_0   timestamp(0),
    c_timestamptz   timestamptz,
    c_ts_infinite   timestamp,
    c_tstz_infinite timestamptz(3),
    c_interval      interval,
    c_interval_ym   interval year to month,
    c_bit           bit(5),
    c_varbit        varbit,
    c_inet          inet,
    c_cidr          cidr,
    c_macaddr       macaddr,
    c_macaddr8      macaddr8,
    c_point         point,
    c_line          line,
    c_lseg          lseg,
    c_box           box,
    c_path          path,
    c_polygon       polygon,
    c_circle        circle,
    c_tsvector      tsvector,
    c_tsquery       tsquery,
    c_pg_lsn        pg_lsn,
    c_snapshot      pg_snapshot,
    c_xid           xid,
    c_xid8          xid8,
    c_cid           cid,
    c_tid           tid,
    c_regclass      regclass,
    c_regtype       regtype,
    c_regproc       regprocedure,
    c_regrole       regrole,
    c_regproc_name  regproc,
    c_regoper       regoperator,
    c_regoper_name  regoper,
    c_regconfig     regconfig,
    c_regdictionary regdictionary,
    c_regnamespace  regnamespace,
    c_regcollation  regcollation,
    c_refcursor     refcursor,
    c_txid_snapshot txid_snapshot,
    c_int4range     int4range,
    c_numrange      numrange,
    c_tsrange       tsrange,
    c_tstzrange     tstzrange,
    c_daterange     daterange,
    c_multirange    int8multirange,
    c_ints          integer[],
    c_texts         text[],
    c_numerics      numeric[],
    c_bytes         bytea[],
    c_moneys        money[],
    c_stamps        timestamptz[],
    c_int2vector    int2vector,
    c_oidvector     oidvector,
    c_enum          public.mood,
    c_enums         public.mood[],
    c_domain        public.percent,
    c_padded        public.padded,
    c_cash          public.cash,
    c_pair          public.pair,
    c_pairs         public.pair[],
    c_moods         public.moods,
    "Amount spent (INR) ""gross"", [net]"                                   numeric(12, 2),
    "दिनदिनदिनदिनदिनदिनदिन" text,
    g_stored        numeric GENERATED ALWAYS AS (c_numeric_p * 2) STORED
);
ALTER TABLE public.every_type DROP COLUMN gone;

INSERT INTO public.every_type (day) VALUES (NULL);

INSERT INTO public.every_type (
    day, c_bool, c_int2, c_int4, c_int8, c_oid, c_float4, c_float8, c_numeric, c_numeric_p, c_numeric_max, c_numeric_over,
    c_numeric_minus, c_numeric_int, c_money, c_text, c_varchar, c_varchar_free, c_char, c_bpchar, c_one_byte, c_name, c_bytea,
    c_uuid, c_json, c_jsonb, c_jsonpath, c_date, c_time, c_time_3, c_timetz, c_timestamp, c_timestamp_0, c_timestamptz,
    c_ts_infinite, c_tstz_infinite, c_interval, c_interval_ym, c_bit, c_varbit, c_inet, c_cidr, c_macaddr, c_macaddr8,
    c_point, c_line, c_lseg, c_box, c_path, c_polygon, c_circle, c_tsvector, c_tsquery, c_pg_lsn, c_snapshot, c_xid, c_xid8,
    c_cid, c_tid, c_regclass, c_regtype, c_regproc, c_regrole, c_int4range, c_numrange, c_tsrange, c_tstzrange, c_daterange,
    c_multirange, c_ints, c_texts, c_numerics, c_bytes, c_moneys, c_stamps, c_int2vector, c_oidvector, c_enum, c_enums,
    c_domain, c_padded, c_cash, c_pair, c_pairs, c_moods, "Amount spent (INR) ""gross"", [net]",
    "दिनदिनदिनदिनदिनदिनदिन"
) VALUES
(
    '2025-09-14', true, -32768, -2147483648, -9223372036854775808, 4294967295, '-0', 'NaN', 'NaN', 99999999.99,
    0.00000000000000000000000000000000000001, 1234567890123456789012345678901234567890.00000000000000000001,
    12345000, 12345678901234567890, '-92233720368547758.08', repeat('x', 1048576), '  both  ', '', 'ab', 'ab   ', 'a', 'pg''name', '\x00ff00',
    '00000000-0000-0000-0000-000000000000', '{"a": 2.50, "a": 1e400,  "b":[ ]}', '{"a": 2.50, "big": 1e400, "small": 1e-300}',
    '$.a[*] ? (@.b > 1)', 'infinity', '24:00', '23:59:59.999', '24:00:00+15:59', '294246-12-31 23:59:59.999999', '2025-01-01 12:00:00',
    '2025-09-14 00:00:00.000001+05:30', 'infinity', '-infinity', '-178000000 years 11 mons -3 days 04:05:06.789', '-7 mons', B'10101', B'',
    '192.168.0.1', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '(1e-300,-0)', '{1,-1,0}', '[(0,0),(1,1)]',
    '(2,2),(0,0)', '[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))', '<(0,0),1>', '''a b'':1A,2 c', 'a & !(b | c:*)', 'FFFFFFFF/FFFFFFFF',
    '10:20:10,14,15', '4294967295', '18446744073709551615', '1', '(4294967295,65535)', 'pg_catalog.pg_class', 'integer',
    'pg_catalog.sum(integer)', 'postgres', 'empty', '[1.50,)', '(,)', '[2025-01-01 00:00+00,infinity)', '[2025-01-01,2025-02-01)',
    '{[1,3),[5,9)}', '{}', '{{NULL,"NULL"},{"","a,\"b\\"}}', '[0:1]={NaN,Infinity}', ARRAY['\x00'::bytea, NULL], '{1.25,-3}',
    '{infinity,"2025-01-01 00:00+00"}', '1 2', '1 4294967295', 'happy "very"', '{sad,NULL,""}', 99.99, 'ab  ', '-1.50', ROW(NULL, NULL, NULL),
    ARRAY[ROW('a,"b"', 1.50, 'x ')::public.pair, NULL], '["",")")', 12.50, 'a	tab, a
newline, a \ and a "quote"'
),
(
    'infinity', false, 32767, 2147483647, 9223372036854775807, 0, 'Infinity', '-Infinity', '-Infinity', 'NaN', -0.99999999999999999999999999999999999999, 'NaN',
    -99999000, -1, '92233720368547758.07', 'नमस्ते 🎉 | , " ''', 'äöü', 'x', '', '', '\377', '', '', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'null', 'null',
    'strict $', '-infinity', '00:00', '00:00', '00:00:00-15:59', '4714-11-24 00:00:00 BC', '-infinity', '294246-12-31 23:59:59.999999+00', '294276-12-31 23:59:59.999999',
    'infinity', '00:00:00.000001', '0', B'00000', B'1', '::1/64', '::/0', '00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff:ff:ff', '(Infinity,NaN)', '{0,1,2.5}', '[(1,1),(1,1)]',
    '(1,1),(1,1)', '((0,0),(1,1))', '((0,0))', '<(1,1),0>', '', '', '0/0', '1:1:', '0', '0', '4294967295', '(0,0)', 'information_schema.tables',
    'public.mood', 'pg_catalog.now()', 'postgres', '[-2147483648,2147483647)', 'empty', '[4713-01-01 BC,infinity]', 'empty', '[-infinity,infinity]', '{}',
    '{{{1,NULL},{3,4}},{{5,6},{7,8}}}', '{}', '{}', '{}', '{}', '{}', '', '', '', '{}', 0, '', '0', ROW('', 'NaN', ''), '{}', 'empty', -9999999999.99, ''
),
(
    '-infinity', NULL, 0, 0, 0, 1, 1.17549435e-38, 4.9406564584124654e-324, 1e-100, -0.01, 0, -0.00000000000000000001, 0, 0, '0.01', '', 'a', 'a', 'abcdef', 'a', '', 'a', '\x',
    '12345678-9abc-def0-1234-56789abcdef0', '[]', '[1.10, 1.1000]', '$', '4714-11-24 BC', '12:34:56.123456', '12:34:56.789', '12:00:00+00',
    '1969-12-31 23:59:59.999999', '1970-01-01', '0044-03-15 00:00:00+00 BC', '2000-01-01', '2000-01-01 00:00+00', '1 mon -1 day 00:00:00.5', '1 year', B'11111', B'0110',
    '0.0.0.0/0', '192.168.0.1/32', '01:02:03:04:05:06', '01:02:03:04:05:06:07:08', '(0.1,0.2)', '{1,0,-3}', '[(0.1,0.2),(0.3,0.4)]', '(0.3,0.4),(0.1,0.2)',
    '((0.1,0.2))', '((0.1,0.2),(0.3,0.4))', '<(0.1,0.2),0.3>', 'a', 'a', '16/B374D848', '1:3:2', '1', '1', '0', '(1,1)', NULL, 'text[]', NULL, NULL,
    '(1,5]', '(1.10,2.200]', 'empty', '(-infinity,infinity)', 'empty', '{(,)}', '{1}', '{a}', '{1.10,1.1000}', '{NULL}', '{NULL}', '{-infinity}', '0', '0', 'sad', '{}', 100,
    '   ', '1', NULL, '{NULL}', '(a,z]', NULL, NULL
),
(
    '5874897-12-31', true, 1, 1, 1, 2147483648, 3.4028235e38, 1.7976931348623157e308, 0.00, 1.50, NULL, NULL, NULL, NULL, '1234567.89', E'\u200b', ' ', ' ', '      ', ' ', ' ', ' ', '\xdeadbeef',
    NULL, '"\u0041"', '"\u0041"', NULL, '5874897-12-31', NULL, NULL, NULL, '2000-01-01', NULL, '1970-01-01 00:00+00', NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
);

UPDATE public.every_type SET c_regproc_name = 'now', c_regoper = '!~(text,text)', c_regoper_name = '||/',
    c_regconfig = 'english', c_regdictionary = 'simple', c_regnamespace = 'public', c_regcollation = '"C"',
    c_refcursor = 'a cursor', c_txid_snapshot = '10:20:10,14,15' WHERE day = '2025-09-14';

-- A server built without libxml knows the type and refuses every value.
DO $$
BEGIN
    UPDATE public.every_type SET c_xml = '<a b="1">é &amp; <![CDATA[<]]></a>' WHERE day = '2025-09-14';
    UPDATE public.every_type SET c_xml = 'text only, <b/> content' WHERE day = 'infinity';
EXCEPTION WHEN feature_not_supported THEN
    RAISE NOTICE 'no xml on this server';
END
$$;
