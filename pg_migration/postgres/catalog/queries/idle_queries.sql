-- Queries that find nothing, since nobody has made a thing of their kind in this database: most databases lack most kinds, and
-- planning a query takes longer than to look here. What comes with PostgreSQL has OIDs below 16384 (PostgreSQL docs,
-- System Catalog Initial Data: OID Assignment).
SELECT kind.query
  FROM (VALUES
      ('access_methods', EXISTS (SELECT FROM pg_am WHERE oid >= 16384)),
      ('aggregates', EXISTS (SELECT FROM pg_proc WHERE oid >= 16384 AND prokind = 'a')),
      ('base_types', EXISTS (
          SELECT FROM pg_type WHERE oid >= 16384 AND (typtype = 'b' AND typarray <> 0 OR typtype = 'p'))),
      ('casts', EXISTS (SELECT FROM pg_cast WHERE oid >= 16384)),
      ('collations', EXISTS (SELECT FROM pg_collation WHERE oid >= 16384)),
      ('composites', EXISTS (SELECT FROM pg_class WHERE oid >= 16384 AND relkind = 'c')),
      ('constraints', EXISTS (SELECT FROM pg_constraint WHERE oid >= 16384 AND conrelid <> 0)),
      ('conversions', EXISTS (SELECT FROM pg_conversion WHERE oid >= 16384)),
      ('default_privileges', EXISTS (SELECT FROM pg_default_acl)),
      ('domain_constraints', EXISTS (SELECT FROM pg_type WHERE oid >= 16384 AND typtype = 'd')),
      ('domains', EXISTS (SELECT FROM pg_type WHERE oid >= 16384 AND typtype = 'd')),
      ('enums', EXISTS (SELECT FROM pg_type WHERE oid >= 16384 AND typtype = 'e')),
      ('event_triggers', EXISTS (SELECT FROM pg_event_trigger)),
      ('extension_configurations', EXISTS (SELECT FROM pg_extension WHERE extconfig IS NOT NULL)),
      ('extension_dependencies', EXISTS (SELECT FROM pg_depend WHERE deptype = 'x')),
      ('foreign_data_wrappers', EXISTS (SELECT FROM pg_foreign_data_wrapper)),
      ('foreign_servers', EXISTS (SELECT FROM pg_foreign_server)),
      ('functions', EXISTS (SELECT FROM pg_proc WHERE oid >= 16384 AND prokind <> 'a')),
      ('identities', EXISTS (SELECT FROM pg_sequence)),
      -- Those of primary keys are constraints; the same is said of those of TOAST tables.
      ('indexes', EXISTS (SELECT FROM pg_index WHERE indexrelid >= 16384 AND NOT indisprimary)),
      ('large_objects', EXISTS (SELECT FROM pg_largeobject_metadata)),
      ('languages', EXISTS (SELECT FROM pg_language WHERE oid >= 16384)),
      ('materialized_views', EXISTS (SELECT FROM pg_class WHERE oid >= 16384 AND relkind = 'm')),
      ('naming_tables', EXISTS (
          SELECT FROM pg_attribute
           WHERE attrelid >= 16384 AND attnum > 0
             AND (atttypid >= 16384 OR atttypid IN (SELECT oid FROM pg_type WHERE typname ~ '^_?reg')))),
      ('operator_classes', EXISTS (SELECT FROM pg_opclass WHERE oid >= 16384)),
      ('operator_families', EXISTS (SELECT FROM pg_opfamily WHERE oid >= 16384)),
      ('operator_family_members', EXISTS (SELECT FROM pg_opfamily WHERE oid >= 16384)),
      ('operators', EXISTS (SELECT FROM pg_operator WHERE oid >= 16384)),
      ('policies', EXISTS (SELECT FROM pg_policy)),
      ('publication_schemas', EXISTS (SELECT FROM pg_publication)),
      ('publication_tables', EXISTS (SELECT FROM pg_publication)),
      ('publications', EXISTS (SELECT FROM pg_publication)),
      ('ranges', EXISTS (SELECT FROM pg_type WHERE oid >= 16384 AND typtype = 'r')),
      ('rules', EXISTS (SELECT FROM pg_rewrite WHERE oid >= 16384)),
      ('security_labels', EXISTS (SELECT FROM pg_seclabel)),
      ('sequence_owners', EXISTS (SELECT FROM pg_sequence)),
      ('sequences', EXISTS (SELECT FROM pg_sequence)),
      ('statistics', EXISTS (SELECT FROM pg_statistic_ext)),
      -- Only superusers may read how a subscription connects.
      ('subscriptions', has_column_privilege('pg_subscription', 'subconninfo', 'SELECT') AND EXISTS (
          SELECT FROM pg_subscription
           WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()))),
      ('text_search_configurations', EXISTS (SELECT FROM pg_ts_config WHERE oid >= 16384)),
      ('text_search_dictionaries', EXISTS (SELECT FROM pg_ts_dict WHERE oid >= 16384)),
      ('text_search_parsers', EXISTS (SELECT FROM pg_ts_parser WHERE oid >= 16384)),
      ('text_search_templates', EXISTS (SELECT FROM pg_ts_template WHERE oid >= 16384)),
      ('transforms', EXISTS (SELECT FROM pg_transform WHERE oid >= 16384)),
      ('user_mappings', EXISTS (SELECT FROM pg_foreign_server)),
      ('triggers', EXISTS (SELECT FROM pg_trigger)),
      ('view_defaults', EXISTS (SELECT FROM pg_class WHERE oid >= 16384 AND relkind = 'v')),
      ('views', EXISTS (SELECT FROM pg_class WHERE oid >= 16384 AND relkind = 'v'))
  ) AS kind (query, has_objects)
 WHERE NOT kind.has_objects
