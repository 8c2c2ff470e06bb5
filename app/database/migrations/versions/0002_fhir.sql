CREATE TABLE fhir.activitydefinition (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	effective_from TIMESTAMP WITH TIME ZONE NOT NULL,
	effective_to TIMESTAMP WITH TIME ZONE NOT NULL,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id)
);

CREATE INDEX activitydefinition_context_quantity_canonical_max ON fhir.activitydefinition (context_quantity_canonical_max) WHERE context_quantity_canonical_max IS NOT NULL;

CREATE INDEX activitydefinition_context_quantity_canonical_min ON fhir.activitydefinition (context_quantity_canonical_min) WHERE context_quantity_canonical_min IS NOT NULL;

CREATE INDEX activitydefinition_context_quantity_max ON fhir.activitydefinition (context_quantity_max) WHERE context_quantity_max IS NOT NULL;

CREATE INDEX activitydefinition_context_quantity_min ON fhir.activitydefinition (context_quantity_min) WHERE context_quantity_min IS NOT NULL;

CREATE INDEX activitydefinition_date_from ON fhir.activitydefinition (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX activitydefinition_date_to ON fhir.activitydefinition (date_to DESC, id DESC);

CREATE INDEX activitydefinition_effective_from ON fhir.activitydefinition (effective_from, effective_to, id) WHERE effective_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX activitydefinition_effective_to ON fhir.activitydefinition (effective_to DESC, id DESC) WHERE effective_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX activitydefinition_last_updated ON fhir.activitydefinition (last_updated, id);

CREATE INDEX activitydefinition_strings ON fhir.activitydefinition USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX activitydefinition_tokens ON fhir.activitydefinition USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.activitydefinition TO ssci_runtime;

CREATE TABLE fhir.activitydefinition_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	effective_from TIMESTAMP WITH TIME ZONE,
	effective_to TIMESTAMP WITH TIME ZONE,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id, version)
);

CREATE INDEX activitydefinition_history_last_updated ON fhir.activitydefinition_history (last_updated, id);

CREATE INDEX activitydefinition_history_superseded ON fhir.activitydefinition_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.activitydefinition_history TO ssci_runtime;

CREATE TABLE fhir.adverseevent (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX adverseevent_date_from ON fhir.adverseevent (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX adverseevent_date_to ON fhir.adverseevent (date_to DESC, id DESC);

CREATE INDEX adverseevent_last_updated ON fhir.adverseevent (last_updated, id);

CREATE INDEX adverseevent_patient ON fhir.adverseevent (patient, date_to DESC, id DESC) WHERE patient IS NOT NULL;

CREATE INDEX adverseevent_strings ON fhir.adverseevent USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX adverseevent_tokens ON fhir.adverseevent USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.adverseevent TO ssci_runtime;

CREATE TABLE fhir.adverseevent_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX adverseevent_history_last_updated ON fhir.adverseevent_history (last_updated, id);

CREATE INDEX adverseevent_history_superseded ON fhir.adverseevent_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.adverseevent_history TO ssci_runtime;

CREATE TABLE fhir.auditevent (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX auditevent_date_from ON fhir.auditevent (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX auditevent_date_to ON fhir.auditevent (date_to DESC, id DESC);

CREATE INDEX auditevent_last_updated ON fhir.auditevent (last_updated, id);

CREATE INDEX auditevent_strings ON fhir.auditevent USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX auditevent_tokens ON fhir.auditevent USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.auditevent TO ssci_runtime;

CREATE TABLE fhir.auditevent_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX auditevent_history_last_updated ON fhir.auditevent_history (last_updated, id);

CREATE INDEX auditevent_history_superseded ON fhir.auditevent_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.auditevent_history TO ssci_runtime;

CREATE TABLE fhir.basic (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	created_from TIMESTAMP WITH TIME ZONE NOT NULL,
	created_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX basic_created_from ON fhir.basic (created_from, created_to, id) WHERE created_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX basic_created_to ON fhir.basic (created_to DESC, id DESC) WHERE created_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX basic_last_updated ON fhir.basic (last_updated, id);

CREATE INDEX basic_strings ON fhir.basic USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX basic_tokens ON fhir.basic USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.basic TO ssci_runtime;

CREATE TABLE fhir.basic_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	created_from TIMESTAMP WITH TIME ZONE,
	created_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX basic_history_last_updated ON fhir.basic_history (last_updated, id);

CREATE INDEX basic_history_superseded ON fhir.basic_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.basic_history TO ssci_runtime;

CREATE TABLE fhir."binary" (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX binary_last_updated ON fhir."binary" (last_updated, id);

CREATE INDEX binary_strings ON fhir."binary" USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX binary_tokens ON fhir."binary" USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.binary TO ssci_runtime;

CREATE TABLE fhir.binary_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	PRIMARY KEY (id, version)
);

CREATE INDEX binary_history_last_updated ON fhir.binary_history (last_updated, id);

CREATE INDEX binary_history_superseded ON fhir.binary_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.binary_history TO ssci_runtime;

CREATE TABLE fhir.careplan (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	activity_date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	activity_date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	activity_date_froms TIMESTAMP WITH TIME ZONE[],
	activity_date_tos TIMESTAMP WITH TIME ZONE[],
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX careplan_activity_date_from ON fhir.careplan (activity_date_from, activity_date_to, id) WHERE activity_date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX careplan_activity_date_to ON fhir.careplan (activity_date_to DESC, id DESC) WHERE activity_date_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX careplan_date_from ON fhir.careplan (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX careplan_date_to ON fhir.careplan (date_to DESC, id DESC);

CREATE INDEX careplan_last_updated ON fhir.careplan (last_updated, id);

CREATE INDEX careplan_patient ON fhir.careplan (patient, date_to DESC, id DESC) WHERE patient IS NOT NULL;

CREATE INDEX careplan_strings ON fhir.careplan USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX careplan_tokens ON fhir.careplan USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.careplan TO ssci_runtime;

CREATE TABLE fhir.careplan_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	activity_date_from TIMESTAMP WITH TIME ZONE,
	activity_date_to TIMESTAMP WITH TIME ZONE,
	activity_date_froms TIMESTAMP WITH TIME ZONE[],
	activity_date_tos TIMESTAMP WITH TIME ZONE[],
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX careplan_history_last_updated ON fhir.careplan_history (last_updated, id);

CREATE INDEX careplan_history_superseded ON fhir.careplan_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.careplan_history TO ssci_runtime;

CREATE TABLE fhir.codesystem (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id)
);

CREATE INDEX codesystem_context_quantity_canonical_max ON fhir.codesystem (context_quantity_canonical_max) WHERE context_quantity_canonical_max IS NOT NULL;

CREATE INDEX codesystem_context_quantity_canonical_min ON fhir.codesystem (context_quantity_canonical_min) WHERE context_quantity_canonical_min IS NOT NULL;

CREATE INDEX codesystem_context_quantity_max ON fhir.codesystem (context_quantity_max) WHERE context_quantity_max IS NOT NULL;

CREATE INDEX codesystem_context_quantity_min ON fhir.codesystem (context_quantity_min) WHERE context_quantity_min IS NOT NULL;

CREATE INDEX codesystem_date_from ON fhir.codesystem (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX codesystem_date_to ON fhir.codesystem (date_to DESC, id DESC);

CREATE INDEX codesystem_last_updated ON fhir.codesystem (last_updated, id);

CREATE INDEX codesystem_strings ON fhir.codesystem USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX codesystem_tokens ON fhir.codesystem USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.codesystem TO ssci_runtime;

CREATE TABLE fhir.codesystem_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id, version)
);

CREATE INDEX codesystem_history_last_updated ON fhir.codesystem_history (last_updated, id);

CREATE INDEX codesystem_history_superseded ON fhir.codesystem_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.codesystem_history TO ssci_runtime;

CREATE TABLE fhir.compartmentdefinition (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id)
);

CREATE INDEX compartmentdefinition_context_quantity_canonical_max ON fhir.compartmentdefinition (context_quantity_canonical_max) WHERE context_quantity_canonical_max IS NOT NULL;

CREATE INDEX compartmentdefinition_context_quantity_canonical_min ON fhir.compartmentdefinition (context_quantity_canonical_min) WHERE context_quantity_canonical_min IS NOT NULL;

CREATE INDEX compartmentdefinition_context_quantity_max ON fhir.compartmentdefinition (context_quantity_max) WHERE context_quantity_max IS NOT NULL;

CREATE INDEX compartmentdefinition_context_quantity_min ON fhir.compartmentdefinition (context_quantity_min) WHERE context_quantity_min IS NOT NULL;

CREATE INDEX compartmentdefinition_date_from ON fhir.compartmentdefinition (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX compartmentdefinition_date_to ON fhir.compartmentdefinition (date_to DESC, id DESC);

CREATE INDEX compartmentdefinition_last_updated ON fhir.compartmentdefinition (last_updated, id);

CREATE INDEX compartmentdefinition_strings ON fhir.compartmentdefinition USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX compartmentdefinition_tokens ON fhir.compartmentdefinition USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.compartmentdefinition TO ssci_runtime;

CREATE TABLE fhir.compartmentdefinition_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id, version)
);

CREATE INDEX compartmentdefinition_history_last_updated ON fhir.compartmentdefinition_history (last_updated, id);

CREATE INDEX compartmentdefinition_history_superseded ON fhir.compartmentdefinition_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.compartmentdefinition_history TO ssci_runtime;

CREATE TABLE fhir.conceptmap (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id)
);

CREATE INDEX conceptmap_context_quantity_canonical_max ON fhir.conceptmap (context_quantity_canonical_max) WHERE context_quantity_canonical_max IS NOT NULL;

CREATE INDEX conceptmap_context_quantity_canonical_min ON fhir.conceptmap (context_quantity_canonical_min) WHERE context_quantity_canonical_min IS NOT NULL;

CREATE INDEX conceptmap_context_quantity_max ON fhir.conceptmap (context_quantity_max) WHERE context_quantity_max IS NOT NULL;

CREATE INDEX conceptmap_context_quantity_min ON fhir.conceptmap (context_quantity_min) WHERE context_quantity_min IS NOT NULL;

CREATE INDEX conceptmap_date_from ON fhir.conceptmap (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX conceptmap_date_to ON fhir.conceptmap (date_to DESC, id DESC);

CREATE INDEX conceptmap_last_updated ON fhir.conceptmap (last_updated, id);

CREATE INDEX conceptmap_strings ON fhir.conceptmap USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX conceptmap_tokens ON fhir.conceptmap USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.conceptmap TO ssci_runtime;

CREATE TABLE fhir.conceptmap_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id, version)
);

CREATE INDEX conceptmap_history_last_updated ON fhir.conceptmap_history (last_updated, id);

CREATE INDEX conceptmap_history_superseded ON fhir.conceptmap_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.conceptmap_history TO ssci_runtime;

CREATE TABLE fhir.condition (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	abatement_date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	abatement_date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	onset_date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	onset_date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	recorded_date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	recorded_date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	abatement_age_min NUMERIC,
	abatement_age_max NUMERIC,
	abatement_age_canonical_min NUMERIC,
	abatement_age_canonical_max NUMERIC,
	abatement_age_units TEXT[] COLLATE "C",
	abatement_age_lows NUMERIC[],
	abatement_age_highs NUMERIC[],
	onset_age_min NUMERIC,
	onset_age_max NUMERIC,
	onset_age_canonical_min NUMERIC,
	onset_age_canonical_max NUMERIC,
	onset_age_units TEXT[] COLLATE "C",
	onset_age_lows NUMERIC[],
	onset_age_highs NUMERIC[],
	PRIMARY KEY (id)
);

CREATE INDEX condition_abatement_age_canonical_max ON fhir.condition (abatement_age_canonical_max) WHERE abatement_age_canonical_max IS NOT NULL;

CREATE INDEX condition_abatement_age_canonical_min ON fhir.condition (abatement_age_canonical_min) WHERE abatement_age_canonical_min IS NOT NULL;

CREATE INDEX condition_abatement_age_max ON fhir.condition (abatement_age_max) WHERE abatement_age_max IS NOT NULL;

CREATE INDEX condition_abatement_age_min ON fhir.condition (abatement_age_min) WHERE abatement_age_min IS NOT NULL;

CREATE INDEX condition_abatement_date_from ON fhir.condition (abatement_date_from, abatement_date_to, id) WHERE abatement_date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX condition_abatement_date_to ON fhir.condition (abatement_date_to DESC, id DESC) WHERE abatement_date_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX condition_last_updated ON fhir.condition (last_updated, id);

CREATE INDEX condition_onset_age_canonical_max ON fhir.condition (onset_age_canonical_max) WHERE onset_age_canonical_max IS NOT NULL;

CREATE INDEX condition_onset_age_canonical_min ON fhir.condition (onset_age_canonical_min) WHERE onset_age_canonical_min IS NOT NULL;

CREATE INDEX condition_onset_age_max ON fhir.condition (onset_age_max) WHERE onset_age_max IS NOT NULL;

CREATE INDEX condition_onset_age_min ON fhir.condition (onset_age_min) WHERE onset_age_min IS NOT NULL;

CREATE INDEX condition_onset_date_from ON fhir.condition (onset_date_from, onset_date_to, id) WHERE onset_date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX condition_onset_date_to ON fhir.condition (onset_date_to DESC, id DESC) WHERE onset_date_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX condition_patient ON fhir.condition (patient, id) WHERE patient IS NOT NULL;

CREATE INDEX condition_recorded_date_from ON fhir.condition (recorded_date_from, recorded_date_to, id) WHERE recorded_date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX condition_recorded_date_to ON fhir.condition (recorded_date_to DESC, id DESC) WHERE recorded_date_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX condition_strings ON fhir.condition USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX condition_tokens ON fhir.condition USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.condition TO ssci_runtime;

CREATE TABLE fhir.condition_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	abatement_date_from TIMESTAMP WITH TIME ZONE,
	abatement_date_to TIMESTAMP WITH TIME ZONE,
	onset_date_from TIMESTAMP WITH TIME ZONE,
	onset_date_to TIMESTAMP WITH TIME ZONE,
	recorded_date_from TIMESTAMP WITH TIME ZONE,
	recorded_date_to TIMESTAMP WITH TIME ZONE,
	abatement_age_min NUMERIC,
	abatement_age_max NUMERIC,
	abatement_age_canonical_min NUMERIC,
	abatement_age_canonical_max NUMERIC,
	abatement_age_units TEXT[] COLLATE "C",
	abatement_age_lows NUMERIC[],
	abatement_age_highs NUMERIC[],
	onset_age_min NUMERIC,
	onset_age_max NUMERIC,
	onset_age_canonical_min NUMERIC,
	onset_age_canonical_max NUMERIC,
	onset_age_units TEXT[] COLLATE "C",
	onset_age_lows NUMERIC[],
	onset_age_highs NUMERIC[],
	PRIMARY KEY (id, version)
);

CREATE INDEX condition_history_last_updated ON fhir.condition_history (last_updated, id);

CREATE INDEX condition_history_superseded ON fhir.condition_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.condition_history TO ssci_runtime;

CREATE TABLE fhir.consent (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	period_from TIMESTAMP WITH TIME ZONE NOT NULL,
	period_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX consent_date_from ON fhir.consent (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX consent_date_to ON fhir.consent (date_to DESC, id DESC);

CREATE INDEX consent_last_updated ON fhir.consent (last_updated, id);

CREATE INDEX consent_patient ON fhir.consent (patient, date_to DESC, id DESC) WHERE patient IS NOT NULL;

CREATE INDEX consent_period_from ON fhir.consent (period_from, period_to, id) WHERE period_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX consent_period_to ON fhir.consent (period_to DESC, id DESC) WHERE period_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX consent_strings ON fhir.consent USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX consent_tokens ON fhir.consent USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.consent TO ssci_runtime;

CREATE TABLE fhir.consent_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	period_from TIMESTAMP WITH TIME ZONE,
	period_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX consent_history_last_updated ON fhir.consent_history (last_updated, id);

CREATE INDEX consent_history_superseded ON fhir.consent_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.consent_history TO ssci_runtime;

CREATE TABLE fhir.device (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX device_last_updated ON fhir.device (last_updated, id);

CREATE INDEX device_patient ON fhir.device (patient, id) WHERE patient IS NOT NULL;

CREATE INDEX device_strings ON fhir.device USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX device_tokens ON fhir.device USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.device TO ssci_runtime;

CREATE TABLE fhir.device_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	PRIMARY KEY (id, version)
);

CREATE INDEX device_history_last_updated ON fhir.device_history (last_updated, id);

CREATE INDEX device_history_superseded ON fhir.device_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.device_history TO ssci_runtime;

CREATE TABLE fhir.diagnosticreport (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	issued_from TIMESTAMP WITH TIME ZONE NOT NULL,
	issued_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX diagnosticreport_date_from ON fhir.diagnosticreport (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX diagnosticreport_date_to ON fhir.diagnosticreport (date_to DESC, id DESC);

CREATE INDEX diagnosticreport_issued_from ON fhir.diagnosticreport (issued_from, issued_to, id) WHERE issued_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX diagnosticreport_issued_to ON fhir.diagnosticreport (issued_to DESC, id DESC) WHERE issued_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX diagnosticreport_last_updated ON fhir.diagnosticreport (last_updated, id);

CREATE INDEX diagnosticreport_patient ON fhir.diagnosticreport (patient, date_to DESC, id DESC) WHERE patient IS NOT NULL;

CREATE INDEX diagnosticreport_strings ON fhir.diagnosticreport USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX diagnosticreport_tokens ON fhir.diagnosticreport USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.diagnosticreport TO ssci_runtime;

CREATE TABLE fhir.diagnosticreport_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	issued_from TIMESTAMP WITH TIME ZONE,
	issued_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX diagnosticreport_history_last_updated ON fhir.diagnosticreport_history (last_updated, id);

CREATE INDEX diagnosticreport_history_superseded ON fhir.diagnosticreport_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.diagnosticreport_history TO ssci_runtime;

CREATE TABLE fhir.documentreference (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	period_from TIMESTAMP WITH TIME ZONE NOT NULL,
	period_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX documentreference_date_from ON fhir.documentreference (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX documentreference_date_to ON fhir.documentreference (date_to DESC, id DESC);

CREATE INDEX documentreference_last_updated ON fhir.documentreference (last_updated, id);

CREATE INDEX documentreference_patient ON fhir.documentreference (patient, date_to DESC, id DESC) WHERE patient IS NOT NULL;

CREATE INDEX documentreference_period_from ON fhir.documentreference (period_from, period_to, id) WHERE period_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX documentreference_period_to ON fhir.documentreference (period_to DESC, id DESC) WHERE period_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX documentreference_strings ON fhir.documentreference USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX documentreference_tokens ON fhir.documentreference USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.documentreference TO ssci_runtime;

CREATE TABLE fhir.documentreference_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	period_from TIMESTAMP WITH TIME ZONE,
	period_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX documentreference_history_last_updated ON fhir.documentreference_history (last_updated, id);

CREATE INDEX documentreference_history_superseded ON fhir.documentreference_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.documentreference_history TO ssci_runtime;

CREATE TABLE fhir.encounter (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	location_period_from TIMESTAMP WITH TIME ZONE NOT NULL,
	location_period_to TIMESTAMP WITH TIME ZONE NOT NULL,
	location_period_froms TIMESTAMP WITH TIME ZONE[],
	location_period_tos TIMESTAMP WITH TIME ZONE[],
	length_min NUMERIC,
	length_max NUMERIC,
	length_canonical_min NUMERIC,
	length_canonical_max NUMERIC,
	length_units TEXT[] COLLATE "C",
	length_lows NUMERIC[],
	length_highs NUMERIC[],
	PRIMARY KEY (id)
);

CREATE INDEX encounter_date_from ON fhir.encounter (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX encounter_date_to ON fhir.encounter (date_to DESC, id DESC);

CREATE INDEX encounter_last_updated ON fhir.encounter (last_updated, id);

CREATE INDEX encounter_length_canonical_max ON fhir.encounter (length_canonical_max) WHERE length_canonical_max IS NOT NULL;

CREATE INDEX encounter_length_canonical_min ON fhir.encounter (length_canonical_min) WHERE length_canonical_min IS NOT NULL;

CREATE INDEX encounter_length_max ON fhir.encounter (length_max) WHERE length_max IS NOT NULL;

CREATE INDEX encounter_length_min ON fhir.encounter (length_min) WHERE length_min IS NOT NULL;

CREATE INDEX encounter_location_period_from ON fhir.encounter (location_period_from, location_period_to, id) WHERE location_period_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX encounter_location_period_to ON fhir.encounter (location_period_to DESC, id DESC) WHERE location_period_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX encounter_patient ON fhir.encounter (patient, date_to DESC, id DESC) WHERE patient IS NOT NULL;

CREATE INDEX encounter_strings ON fhir.encounter USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX encounter_tokens ON fhir.encounter USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.encounter TO ssci_runtime;

CREATE TABLE fhir.encounter_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	location_period_from TIMESTAMP WITH TIME ZONE,
	location_period_to TIMESTAMP WITH TIME ZONE,
	location_period_froms TIMESTAMP WITH TIME ZONE[],
	location_period_tos TIMESTAMP WITH TIME ZONE[],
	length_min NUMERIC,
	length_max NUMERIC,
	length_canonical_min NUMERIC,
	length_canonical_max NUMERIC,
	length_units TEXT[] COLLATE "C",
	length_lows NUMERIC[],
	length_highs NUMERIC[],
	PRIMARY KEY (id, version)
);

CREATE INDEX encounter_history_last_updated ON fhir.encounter_history (last_updated, id);

CREATE INDEX encounter_history_superseded ON fhir.encounter_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.encounter_history TO ssci_runtime;

CREATE TABLE fhir.endpoint (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX endpoint_last_updated ON fhir.endpoint (last_updated, id);

CREATE INDEX endpoint_strings ON fhir.endpoint USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX endpoint_tokens ON fhir.endpoint USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.endpoint TO ssci_runtime;

CREATE TABLE fhir.endpoint_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	PRIMARY KEY (id, version)
);

CREATE INDEX endpoint_history_last_updated ON fhir.endpoint_history (last_updated, id);

CREATE INDEX endpoint_history_superseded ON fhir.endpoint_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.endpoint_history TO ssci_runtime;

CREATE TABLE fhir."group" (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX group_last_updated ON fhir."group" (last_updated, id);

CREATE INDEX group_strings ON fhir."group" USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX group_tokens ON fhir."group" USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.group TO ssci_runtime;

CREATE TABLE fhir.group_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	PRIMARY KEY (id, version)
);

CREATE INDEX group_history_last_updated ON fhir.group_history (last_updated, id);

CREATE INDEX group_history_superseded ON fhir.group_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.group_history TO ssci_runtime;

CREATE TABLE fhir.implementationguide (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id)
);

CREATE INDEX implementationguide_context_quantity_canonical_max ON fhir.implementationguide (context_quantity_canonical_max) WHERE context_quantity_canonical_max IS NOT NULL;

CREATE INDEX implementationguide_context_quantity_canonical_min ON fhir.implementationguide (context_quantity_canonical_min) WHERE context_quantity_canonical_min IS NOT NULL;

CREATE INDEX implementationguide_context_quantity_max ON fhir.implementationguide (context_quantity_max) WHERE context_quantity_max IS NOT NULL;

CREATE INDEX implementationguide_context_quantity_min ON fhir.implementationguide (context_quantity_min) WHERE context_quantity_min IS NOT NULL;

CREATE INDEX implementationguide_date_from ON fhir.implementationguide (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX implementationguide_date_to ON fhir.implementationguide (date_to DESC, id DESC);

CREATE INDEX implementationguide_last_updated ON fhir.implementationguide (last_updated, id);

CREATE INDEX implementationguide_strings ON fhir.implementationguide USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX implementationguide_tokens ON fhir.implementationguide USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.implementationguide TO ssci_runtime;

CREATE TABLE fhir.implementationguide_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id, version)
);

CREATE INDEX implementationguide_history_last_updated ON fhir.implementationguide_history (last_updated, id);

CREATE INDEX implementationguide_history_superseded ON fhir.implementationguide_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.implementationguide_history TO ssci_runtime;

CREATE TABLE fhir.library (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	effective_from TIMESTAMP WITH TIME ZONE NOT NULL,
	effective_to TIMESTAMP WITH TIME ZONE NOT NULL,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id)
);

CREATE INDEX library_context_quantity_canonical_max ON fhir.library (context_quantity_canonical_max) WHERE context_quantity_canonical_max IS NOT NULL;

CREATE INDEX library_context_quantity_canonical_min ON fhir.library (context_quantity_canonical_min) WHERE context_quantity_canonical_min IS NOT NULL;

CREATE INDEX library_context_quantity_max ON fhir.library (context_quantity_max) WHERE context_quantity_max IS NOT NULL;

CREATE INDEX library_context_quantity_min ON fhir.library (context_quantity_min) WHERE context_quantity_min IS NOT NULL;

CREATE INDEX library_date_from ON fhir.library (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX library_date_to ON fhir.library (date_to DESC, id DESC);

CREATE INDEX library_effective_from ON fhir.library (effective_from, effective_to, id) WHERE effective_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX library_effective_to ON fhir.library (effective_to DESC, id DESC) WHERE effective_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX library_last_updated ON fhir.library (last_updated, id);

CREATE INDEX library_strings ON fhir.library USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX library_tokens ON fhir.library USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.library TO ssci_runtime;

CREATE TABLE fhir.library_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	effective_from TIMESTAMP WITH TIME ZONE,
	effective_to TIMESTAMP WITH TIME ZONE,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id, version)
);

CREATE INDEX library_history_last_updated ON fhir.library_history (last_updated, id);

CREATE INDEX library_history_superseded ON fhir.library_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.library_history TO ssci_runtime;

CREATE TABLE fhir.list (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX list_date_from ON fhir.list (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX list_date_to ON fhir.list (date_to DESC, id DESC);

CREATE INDEX list_last_updated ON fhir.list (last_updated, id);

CREATE INDEX list_patient ON fhir.list (patient, date_to DESC, id DESC) WHERE patient IS NOT NULL;

CREATE INDEX list_strings ON fhir.list USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX list_tokens ON fhir.list USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.list TO ssci_runtime;

CREATE TABLE fhir.list_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX list_history_last_updated ON fhir.list_history (last_updated, id);

CREATE INDEX list_history_superseded ON fhir.list_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.list_history TO ssci_runtime;

CREATE TABLE fhir.location (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX location_last_updated ON fhir.location (last_updated, id);

CREATE INDEX location_strings ON fhir.location USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX location_tokens ON fhir.location USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.location TO ssci_runtime;

CREATE TABLE fhir.location_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	PRIMARY KEY (id, version)
);

CREATE INDEX location_history_last_updated ON fhir.location_history (last_updated, id);

CREATE INDEX location_history_superseded ON fhir.location_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.location_history TO ssci_runtime;

CREATE TABLE fhir.measure (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	effective_from TIMESTAMP WITH TIME ZONE NOT NULL,
	effective_to TIMESTAMP WITH TIME ZONE NOT NULL,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id)
);

CREATE INDEX measure_context_quantity_canonical_max ON fhir.measure (context_quantity_canonical_max) WHERE context_quantity_canonical_max IS NOT NULL;

CREATE INDEX measure_context_quantity_canonical_min ON fhir.measure (context_quantity_canonical_min) WHERE context_quantity_canonical_min IS NOT NULL;

CREATE INDEX measure_context_quantity_max ON fhir.measure (context_quantity_max) WHERE context_quantity_max IS NOT NULL;

CREATE INDEX measure_context_quantity_min ON fhir.measure (context_quantity_min) WHERE context_quantity_min IS NOT NULL;

CREATE INDEX measure_date_from ON fhir.measure (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX measure_date_to ON fhir.measure (date_to DESC, id DESC);

CREATE INDEX measure_effective_from ON fhir.measure (effective_from, effective_to, id) WHERE effective_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX measure_effective_to ON fhir.measure (effective_to DESC, id DESC) WHERE effective_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX measure_last_updated ON fhir.measure (last_updated, id);

CREATE INDEX measure_strings ON fhir.measure USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX measure_tokens ON fhir.measure USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.measure TO ssci_runtime;

CREATE TABLE fhir.measure_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	effective_from TIMESTAMP WITH TIME ZONE,
	effective_to TIMESTAMP WITH TIME ZONE,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id, version)
);

CREATE INDEX measure_history_last_updated ON fhir.measure_history (last_updated, id);

CREATE INDEX measure_history_superseded ON fhir.measure_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.measure_history TO ssci_runtime;

CREATE TABLE fhir.measurereport (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	period_from TIMESTAMP WITH TIME ZONE NOT NULL,
	period_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX measurereport_date_from ON fhir.measurereport (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX measurereport_date_to ON fhir.measurereport (date_to DESC, id DESC);

CREATE INDEX measurereport_last_updated ON fhir.measurereport (last_updated, id);

CREATE INDEX measurereport_patient ON fhir.measurereport (patient, date_to DESC, id DESC) WHERE patient IS NOT NULL;

CREATE INDEX measurereport_period_from ON fhir.measurereport (period_from, period_to, id) WHERE period_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX measurereport_period_to ON fhir.measurereport (period_to DESC, id DESC) WHERE period_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX measurereport_strings ON fhir.measurereport USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX measurereport_tokens ON fhir.measurereport USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.measurereport TO ssci_runtime;

CREATE TABLE fhir.measurereport_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	period_from TIMESTAMP WITH TIME ZONE,
	period_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX measurereport_history_last_updated ON fhir.measurereport_history (last_updated, id);

CREATE INDEX measurereport_history_superseded ON fhir.measurereport_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.measurereport_history TO ssci_runtime;

CREATE TABLE fhir.medication (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	expiration_date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	expiration_date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX medication_expiration_date_from ON fhir.medication (expiration_date_from, expiration_date_to, id) WHERE expiration_date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX medication_expiration_date_to ON fhir.medication (expiration_date_to DESC, id DESC) WHERE expiration_date_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX medication_last_updated ON fhir.medication (last_updated, id);

CREATE INDEX medication_strings ON fhir.medication USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX medication_tokens ON fhir.medication USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.medication TO ssci_runtime;

CREATE TABLE fhir.medication_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	expiration_date_from TIMESTAMP WITH TIME ZONE,
	expiration_date_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX medication_history_last_updated ON fhir.medication_history (last_updated, id);

CREATE INDEX medication_history_superseded ON fhir.medication_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.medication_history TO ssci_runtime;

CREATE TABLE fhir.medicationadministration (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	effective_time_from TIMESTAMP WITH TIME ZONE NOT NULL,
	effective_time_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX medicationadministration_effective_time_from ON fhir.medicationadministration (effective_time_from, effective_time_to, id) WHERE effective_time_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX medicationadministration_effective_time_to ON fhir.medicationadministration (effective_time_to DESC, id DESC) WHERE effective_time_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX medicationadministration_last_updated ON fhir.medicationadministration (last_updated, id);

CREATE INDEX medicationadministration_patient ON fhir.medicationadministration (patient, id) WHERE patient IS NOT NULL;

CREATE INDEX medicationadministration_strings ON fhir.medicationadministration USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX medicationadministration_tokens ON fhir.medicationadministration USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.medicationadministration TO ssci_runtime;

CREATE TABLE fhir.medicationadministration_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	effective_time_from TIMESTAMP WITH TIME ZONE,
	effective_time_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX medicationadministration_history_last_updated ON fhir.medicationadministration_history (last_updated, id);

CREATE INDEX medicationadministration_history_superseded ON fhir.medicationadministration_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.medicationadministration_history TO ssci_runtime;

CREATE TABLE fhir.medicationdispense (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	whenhandedover_from TIMESTAMP WITH TIME ZONE NOT NULL,
	whenhandedover_to TIMESTAMP WITH TIME ZONE NOT NULL,
	whenprepared_from TIMESTAMP WITH TIME ZONE NOT NULL,
	whenprepared_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX medicationdispense_last_updated ON fhir.medicationdispense (last_updated, id);

CREATE INDEX medicationdispense_patient ON fhir.medicationdispense (patient, id) WHERE patient IS NOT NULL;

CREATE INDEX medicationdispense_strings ON fhir.medicationdispense USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX medicationdispense_tokens ON fhir.medicationdispense USING gin (tokens);

CREATE INDEX medicationdispense_whenhandedover_from ON fhir.medicationdispense (whenhandedover_from, whenhandedover_to, id) WHERE whenhandedover_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX medicationdispense_whenhandedover_to ON fhir.medicationdispense (whenhandedover_to DESC, id DESC) WHERE whenhandedover_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX medicationdispense_whenprepared_from ON fhir.medicationdispense (whenprepared_from, whenprepared_to, id) WHERE whenprepared_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX medicationdispense_whenprepared_to ON fhir.medicationdispense (whenprepared_to DESC, id DESC) WHERE whenprepared_to > '0001-01-01T00:00:00+00:00';

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.medicationdispense TO ssci_runtime;

CREATE TABLE fhir.medicationdispense_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	whenhandedover_from TIMESTAMP WITH TIME ZONE,
	whenhandedover_to TIMESTAMP WITH TIME ZONE,
	whenprepared_from TIMESTAMP WITH TIME ZONE,
	whenprepared_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX medicationdispense_history_last_updated ON fhir.medicationdispense_history (last_updated, id);

CREATE INDEX medicationdispense_history_superseded ON fhir.medicationdispense_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.medicationdispense_history TO ssci_runtime;

CREATE TABLE fhir.medicationrequest (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	authoredon_from TIMESTAMP WITH TIME ZONE NOT NULL,
	authoredon_to TIMESTAMP WITH TIME ZONE NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	date_froms TIMESTAMP WITH TIME ZONE[],
	date_tos TIMESTAMP WITH TIME ZONE[],
	PRIMARY KEY (id)
);

CREATE INDEX medicationrequest_authoredon_from ON fhir.medicationrequest (authoredon_from, authoredon_to, id) WHERE authoredon_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX medicationrequest_authoredon_to ON fhir.medicationrequest (authoredon_to DESC, id DESC) WHERE authoredon_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX medicationrequest_date_from ON fhir.medicationrequest (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX medicationrequest_date_to ON fhir.medicationrequest (date_to DESC, id DESC);

CREATE INDEX medicationrequest_last_updated ON fhir.medicationrequest (last_updated, id);

CREATE INDEX medicationrequest_patient ON fhir.medicationrequest (patient, date_to DESC, id DESC) WHERE patient IS NOT NULL;

CREATE INDEX medicationrequest_strings ON fhir.medicationrequest USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX medicationrequest_tokens ON fhir.medicationrequest USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.medicationrequest TO ssci_runtime;

CREATE TABLE fhir.medicationrequest_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	authoredon_from TIMESTAMP WITH TIME ZONE,
	authoredon_to TIMESTAMP WITH TIME ZONE,
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	date_froms TIMESTAMP WITH TIME ZONE[],
	date_tos TIMESTAMP WITH TIME ZONE[],
	PRIMARY KEY (id, version)
);

CREATE INDEX medicationrequest_history_last_updated ON fhir.medicationrequest_history (last_updated, id);

CREATE INDEX medicationrequest_history_superseded ON fhir.medicationrequest_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.medicationrequest_history TO ssci_runtime;

CREATE TABLE fhir.medicationstatement (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	effective_from TIMESTAMP WITH TIME ZONE NOT NULL,
	effective_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX medicationstatement_effective_from ON fhir.medicationstatement (effective_from, effective_to, id) WHERE effective_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX medicationstatement_effective_to ON fhir.medicationstatement (effective_to DESC, id DESC) WHERE effective_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX medicationstatement_last_updated ON fhir.medicationstatement (last_updated, id);

CREATE INDEX medicationstatement_patient ON fhir.medicationstatement (patient, id) WHERE patient IS NOT NULL;

CREATE INDEX medicationstatement_strings ON fhir.medicationstatement USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX medicationstatement_tokens ON fhir.medicationstatement USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.medicationstatement TO ssci_runtime;

CREATE TABLE fhir.medicationstatement_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	effective_from TIMESTAMP WITH TIME ZONE,
	effective_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX medicationstatement_history_last_updated ON fhir.medicationstatement_history (last_updated, id);

CREATE INDEX medicationstatement_history_superseded ON fhir.medicationstatement_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.medicationstatement_history TO ssci_runtime;

CREATE TABLE fhir.messageheader (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX messageheader_last_updated ON fhir.messageheader (last_updated, id);

CREATE INDEX messageheader_strings ON fhir.messageheader USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX messageheader_tokens ON fhir.messageheader USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.messageheader TO ssci_runtime;

CREATE TABLE fhir.messageheader_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	PRIMARY KEY (id, version)
);

CREATE INDEX messageheader_history_last_updated ON fhir.messageheader_history (last_updated, id);

CREATE INDEX messageheader_history_superseded ON fhir.messageheader_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.messageheader_history TO ssci_runtime;

CREATE TABLE fhir.namingsystem (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	period_from TIMESTAMP WITH TIME ZONE NOT NULL,
	period_to TIMESTAMP WITH TIME ZONE NOT NULL,
	period_froms TIMESTAMP WITH TIME ZONE[],
	period_tos TIMESTAMP WITH TIME ZONE[],
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id)
);

CREATE INDEX namingsystem_context_quantity_canonical_max ON fhir.namingsystem (context_quantity_canonical_max) WHERE context_quantity_canonical_max IS NOT NULL;

CREATE INDEX namingsystem_context_quantity_canonical_min ON fhir.namingsystem (context_quantity_canonical_min) WHERE context_quantity_canonical_min IS NOT NULL;

CREATE INDEX namingsystem_context_quantity_max ON fhir.namingsystem (context_quantity_max) WHERE context_quantity_max IS NOT NULL;

CREATE INDEX namingsystem_context_quantity_min ON fhir.namingsystem (context_quantity_min) WHERE context_quantity_min IS NOT NULL;

CREATE INDEX namingsystem_date_from ON fhir.namingsystem (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX namingsystem_date_to ON fhir.namingsystem (date_to DESC, id DESC);

CREATE INDEX namingsystem_last_updated ON fhir.namingsystem (last_updated, id);

CREATE INDEX namingsystem_period_from ON fhir.namingsystem (period_from, period_to, id) WHERE period_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX namingsystem_period_to ON fhir.namingsystem (period_to DESC, id DESC) WHERE period_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX namingsystem_strings ON fhir.namingsystem USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX namingsystem_tokens ON fhir.namingsystem USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.namingsystem TO ssci_runtime;

CREATE TABLE fhir.namingsystem_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	period_from TIMESTAMP WITH TIME ZONE,
	period_to TIMESTAMP WITH TIME ZONE,
	period_froms TIMESTAMP WITH TIME ZONE[],
	period_tos TIMESTAMP WITH TIME ZONE[],
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id, version)
);

CREATE INDEX namingsystem_history_last_updated ON fhir.namingsystem_history (last_updated, id);

CREATE INDEX namingsystem_history_superseded ON fhir.namingsystem_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.namingsystem_history TO ssci_runtime;

CREATE TABLE fhir.observation (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	value_date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	value_date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	component_value_quantity_min NUMERIC,
	component_value_quantity_max NUMERIC,
	component_value_quantity_canonical_min NUMERIC,
	component_value_quantity_canonical_max NUMERIC,
	component_value_quantity_units TEXT[] COLLATE "C",
	component_value_quantity_lows NUMERIC[],
	component_value_quantity_highs NUMERIC[],
	value_quantity_min NUMERIC,
	value_quantity_max NUMERIC,
	value_quantity_canonical_min NUMERIC,
	value_quantity_canonical_max NUMERIC,
	value_quantity_units TEXT[] COLLATE "C",
	value_quantity_lows NUMERIC[],
	value_quantity_highs NUMERIC[],
	component_code_value_quantity_codes TEXT[] COLLATE "C",
	component_code_value_quantity_units TEXT[] COLLATE "C",
	component_code_value_quantity_lows NUMERIC[],
	component_code_value_quantity_highs NUMERIC[],
	PRIMARY KEY (id)
);

CREATE INDEX observation_component_value_quantity_canonical_max ON fhir.observation (component_value_quantity_canonical_max) WHERE component_value_quantity_canonical_max IS NOT NULL;

CREATE INDEX observation_component_value_quantity_canonical_min ON fhir.observation (component_value_quantity_canonical_min) WHERE component_value_quantity_canonical_min IS NOT NULL;

CREATE INDEX observation_component_value_quantity_max ON fhir.observation (component_value_quantity_max) WHERE component_value_quantity_max IS NOT NULL;

CREATE INDEX observation_component_value_quantity_min ON fhir.observation (component_value_quantity_min) WHERE component_value_quantity_min IS NOT NULL;

CREATE INDEX observation_date_from ON fhir.observation (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX observation_date_to ON fhir.observation (date_to DESC, id DESC);

CREATE INDEX observation_last_updated ON fhir.observation (last_updated, id);

CREATE INDEX observation_patient ON fhir.observation (patient, date_to DESC, id DESC) WHERE patient IS NOT NULL;

CREATE INDEX observation_strings ON fhir.observation USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX observation_tokens ON fhir.observation USING gin (tokens);

CREATE INDEX observation_value_date_from ON fhir.observation (value_date_from, value_date_to, id) WHERE value_date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX observation_value_date_to ON fhir.observation (value_date_to DESC, id DESC) WHERE value_date_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX observation_value_quantity_canonical_max ON fhir.observation (value_quantity_canonical_max) WHERE value_quantity_canonical_max IS NOT NULL;

CREATE INDEX observation_value_quantity_canonical_min ON fhir.observation (value_quantity_canonical_min) WHERE value_quantity_canonical_min IS NOT NULL;

CREATE INDEX observation_value_quantity_max ON fhir.observation (value_quantity_max) WHERE value_quantity_max IS NOT NULL;

CREATE INDEX observation_value_quantity_min ON fhir.observation (value_quantity_min) WHERE value_quantity_min IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.observation TO ssci_runtime;

CREATE TABLE fhir.observation_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	value_date_from TIMESTAMP WITH TIME ZONE,
	value_date_to TIMESTAMP WITH TIME ZONE,
	component_value_quantity_min NUMERIC,
	component_value_quantity_max NUMERIC,
	component_value_quantity_canonical_min NUMERIC,
	component_value_quantity_canonical_max NUMERIC,
	component_value_quantity_units TEXT[] COLLATE "C",
	component_value_quantity_lows NUMERIC[],
	component_value_quantity_highs NUMERIC[],
	value_quantity_min NUMERIC,
	value_quantity_max NUMERIC,
	value_quantity_canonical_min NUMERIC,
	value_quantity_canonical_max NUMERIC,
	value_quantity_units TEXT[] COLLATE "C",
	value_quantity_lows NUMERIC[],
	value_quantity_highs NUMERIC[],
	component_code_value_quantity_codes TEXT[] COLLATE "C",
	component_code_value_quantity_units TEXT[] COLLATE "C",
	component_code_value_quantity_lows NUMERIC[],
	component_code_value_quantity_highs NUMERIC[],
	PRIMARY KEY (id, version)
);

CREATE INDEX observation_history_last_updated ON fhir.observation_history (last_updated, id);

CREATE INDEX observation_history_superseded ON fhir.observation_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.observation_history TO ssci_runtime;

CREATE TABLE fhir.observation_hot (
	id TEXT COLLATE "C" NOT NULL,
	code TEXT COLLATE "C" NOT NULL,
	systems TEXT[] COLLATE "C" NOT NULL,
	patient TEXT COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id, code)
);

CREATE INDEX observation_hot_code ON fhir.observation_hot (code, date_to DESC, id DESC, date_from);

CREATE INDEX observation_hot_patient_code ON fhir.observation_hot (patient, code, date_to DESC, id DESC) WHERE patient IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.observation_hot TO ssci_runtime;

CREATE TABLE fhir.operationdefinition (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id)
);

CREATE INDEX operationdefinition_context_quantity_canonical_max ON fhir.operationdefinition (context_quantity_canonical_max) WHERE context_quantity_canonical_max IS NOT NULL;

CREATE INDEX operationdefinition_context_quantity_canonical_min ON fhir.operationdefinition (context_quantity_canonical_min) WHERE context_quantity_canonical_min IS NOT NULL;

CREATE INDEX operationdefinition_context_quantity_max ON fhir.operationdefinition (context_quantity_max) WHERE context_quantity_max IS NOT NULL;

CREATE INDEX operationdefinition_context_quantity_min ON fhir.operationdefinition (context_quantity_min) WHERE context_quantity_min IS NOT NULL;

CREATE INDEX operationdefinition_date_from ON fhir.operationdefinition (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX operationdefinition_date_to ON fhir.operationdefinition (date_to DESC, id DESC);

CREATE INDEX operationdefinition_last_updated ON fhir.operationdefinition (last_updated, id);

CREATE INDEX operationdefinition_strings ON fhir.operationdefinition USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX operationdefinition_tokens ON fhir.operationdefinition USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.operationdefinition TO ssci_runtime;

CREATE TABLE fhir.operationdefinition_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id, version)
);

CREATE INDEX operationdefinition_history_last_updated ON fhir.operationdefinition_history (last_updated, id);

CREATE INDEX operationdefinition_history_superseded ON fhir.operationdefinition_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.operationdefinition_history TO ssci_runtime;

CREATE TABLE fhir.organization (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX organization_last_updated ON fhir.organization (last_updated, id);

CREATE INDEX organization_strings ON fhir.organization USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX organization_tokens ON fhir.organization USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.organization TO ssci_runtime;

CREATE TABLE fhir.organization_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	PRIMARY KEY (id, version)
);

CREATE INDEX organization_history_last_updated ON fhir.organization_history (last_updated, id);

CREATE INDEX organization_history_superseded ON fhir.organization_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.organization_history TO ssci_runtime;

CREATE TABLE fhir.patient (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	birthdate_from TIMESTAMP WITH TIME ZONE NOT NULL,
	birthdate_to TIMESTAMP WITH TIME ZONE NOT NULL,
	death_date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	death_date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX patient_birthdate_from ON fhir.patient (birthdate_from, birthdate_to, id) WHERE birthdate_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX patient_birthdate_to ON fhir.patient (birthdate_to DESC, id DESC) WHERE birthdate_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX patient_death_date_from ON fhir.patient (death_date_from, death_date_to, id) WHERE death_date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX patient_death_date_to ON fhir.patient (death_date_to DESC, id DESC) WHERE death_date_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX patient_last_updated ON fhir.patient (last_updated, id);

CREATE INDEX patient_strings ON fhir.patient USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX patient_tokens ON fhir.patient USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.patient TO ssci_runtime;

CREATE TABLE fhir.patient_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	birthdate_from TIMESTAMP WITH TIME ZONE,
	birthdate_to TIMESTAMP WITH TIME ZONE,
	death_date_from TIMESTAMP WITH TIME ZONE,
	death_date_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX patient_history_last_updated ON fhir.patient_history (last_updated, id);

CREATE INDEX patient_history_superseded ON fhir.patient_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.patient_history TO ssci_runtime;

CREATE TABLE fhir.plandefinition (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	effective_from TIMESTAMP WITH TIME ZONE NOT NULL,
	effective_to TIMESTAMP WITH TIME ZONE NOT NULL,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id)
);

CREATE INDEX plandefinition_context_quantity_canonical_max ON fhir.plandefinition (context_quantity_canonical_max) WHERE context_quantity_canonical_max IS NOT NULL;

CREATE INDEX plandefinition_context_quantity_canonical_min ON fhir.plandefinition (context_quantity_canonical_min) WHERE context_quantity_canonical_min IS NOT NULL;

CREATE INDEX plandefinition_context_quantity_max ON fhir.plandefinition (context_quantity_max) WHERE context_quantity_max IS NOT NULL;

CREATE INDEX plandefinition_context_quantity_min ON fhir.plandefinition (context_quantity_min) WHERE context_quantity_min IS NOT NULL;

CREATE INDEX plandefinition_date_from ON fhir.plandefinition (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX plandefinition_date_to ON fhir.plandefinition (date_to DESC, id DESC);

CREATE INDEX plandefinition_effective_from ON fhir.plandefinition (effective_from, effective_to, id) WHERE effective_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX plandefinition_effective_to ON fhir.plandefinition (effective_to DESC, id DESC) WHERE effective_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX plandefinition_last_updated ON fhir.plandefinition (last_updated, id);

CREATE INDEX plandefinition_strings ON fhir.plandefinition USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX plandefinition_tokens ON fhir.plandefinition USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.plandefinition TO ssci_runtime;

CREATE TABLE fhir.plandefinition_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	effective_from TIMESTAMP WITH TIME ZONE,
	effective_to TIMESTAMP WITH TIME ZONE,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id, version)
);

CREATE INDEX plandefinition_history_last_updated ON fhir.plandefinition_history (last_updated, id);

CREATE INDEX plandefinition_history_superseded ON fhir.plandefinition_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.plandefinition_history TO ssci_runtime;

CREATE TABLE fhir.practitioner (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX practitioner_last_updated ON fhir.practitioner (last_updated, id);

CREATE INDEX practitioner_strings ON fhir.practitioner USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX practitioner_tokens ON fhir.practitioner USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.practitioner TO ssci_runtime;

CREATE TABLE fhir.practitioner_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	PRIMARY KEY (id, version)
);

CREATE INDEX practitioner_history_last_updated ON fhir.practitioner_history (last_updated, id);

CREATE INDEX practitioner_history_superseded ON fhir.practitioner_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.practitioner_history TO ssci_runtime;

CREATE TABLE fhir.practitionerrole (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX practitionerrole_date_from ON fhir.practitionerrole (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX practitionerrole_date_to ON fhir.practitionerrole (date_to DESC, id DESC);

CREATE INDEX practitionerrole_last_updated ON fhir.practitionerrole (last_updated, id);

CREATE INDEX practitionerrole_strings ON fhir.practitionerrole USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX practitionerrole_tokens ON fhir.practitionerrole USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.practitionerrole TO ssci_runtime;

CREATE TABLE fhir.practitionerrole_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX practitionerrole_history_last_updated ON fhir.practitionerrole_history (last_updated, id);

CREATE INDEX practitionerrole_history_superseded ON fhir.practitionerrole_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.practitionerrole_history TO ssci_runtime;

CREATE TABLE fhir.procedure (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX procedure_date_from ON fhir.procedure (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX procedure_date_to ON fhir.procedure (date_to DESC, id DESC);

CREATE INDEX procedure_last_updated ON fhir.procedure (last_updated, id);

CREATE INDEX procedure_patient ON fhir.procedure (patient, date_to DESC, id DESC) WHERE patient IS NOT NULL;

CREATE INDEX procedure_strings ON fhir.procedure USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX procedure_tokens ON fhir.procedure USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.procedure TO ssci_runtime;

CREATE TABLE fhir.procedure_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX procedure_history_last_updated ON fhir.procedure_history (last_updated, id);

CREATE INDEX procedure_history_superseded ON fhir.procedure_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.procedure_history TO ssci_runtime;

CREATE TABLE fhir.provenance (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	recorded_from TIMESTAMP WITH TIME ZONE NOT NULL,
	recorded_to TIMESTAMP WITH TIME ZONE NOT NULL,
	when_from TIMESTAMP WITH TIME ZONE NOT NULL,
	when_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX provenance_last_updated ON fhir.provenance (last_updated, id);

CREATE INDEX provenance_recorded_from ON fhir.provenance (recorded_from, recorded_to, id) WHERE recorded_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX provenance_recorded_to ON fhir.provenance (recorded_to DESC, id DESC) WHERE recorded_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX provenance_strings ON fhir.provenance USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX provenance_tokens ON fhir.provenance USING gin (tokens);

CREATE INDEX provenance_when_from ON fhir.provenance (when_from, when_to, id) WHERE when_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX provenance_when_to ON fhir.provenance (when_to DESC, id DESC) WHERE when_to > '0001-01-01T00:00:00+00:00';

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.provenance TO ssci_runtime;

CREATE TABLE fhir.provenance_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	recorded_from TIMESTAMP WITH TIME ZONE,
	recorded_to TIMESTAMP WITH TIME ZONE,
	when_from TIMESTAMP WITH TIME ZONE,
	when_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX provenance_history_last_updated ON fhir.provenance_history (last_updated, id);

CREATE INDEX provenance_history_superseded ON fhir.provenance_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.provenance_history TO ssci_runtime;

CREATE TABLE fhir.questionnaire (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	effective_from TIMESTAMP WITH TIME ZONE NOT NULL,
	effective_to TIMESTAMP WITH TIME ZONE NOT NULL,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id)
);

CREATE INDEX questionnaire_context_quantity_canonical_max ON fhir.questionnaire (context_quantity_canonical_max) WHERE context_quantity_canonical_max IS NOT NULL;

CREATE INDEX questionnaire_context_quantity_canonical_min ON fhir.questionnaire (context_quantity_canonical_min) WHERE context_quantity_canonical_min IS NOT NULL;

CREATE INDEX questionnaire_context_quantity_max ON fhir.questionnaire (context_quantity_max) WHERE context_quantity_max IS NOT NULL;

CREATE INDEX questionnaire_context_quantity_min ON fhir.questionnaire (context_quantity_min) WHERE context_quantity_min IS NOT NULL;

CREATE INDEX questionnaire_date_from ON fhir.questionnaire (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX questionnaire_date_to ON fhir.questionnaire (date_to DESC, id DESC);

CREATE INDEX questionnaire_effective_from ON fhir.questionnaire (effective_from, effective_to, id) WHERE effective_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX questionnaire_effective_to ON fhir.questionnaire (effective_to DESC, id DESC) WHERE effective_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX questionnaire_last_updated ON fhir.questionnaire (last_updated, id);

CREATE INDEX questionnaire_strings ON fhir.questionnaire USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX questionnaire_tokens ON fhir.questionnaire USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.questionnaire TO ssci_runtime;

CREATE TABLE fhir.questionnaire_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	effective_from TIMESTAMP WITH TIME ZONE,
	effective_to TIMESTAMP WITH TIME ZONE,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id, version)
);

CREATE INDEX questionnaire_history_last_updated ON fhir.questionnaire_history (last_updated, id);

CREATE INDEX questionnaire_history_superseded ON fhir.questionnaire_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.questionnaire_history TO ssci_runtime;

CREATE TABLE fhir.questionnaireresponse (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	authored_from TIMESTAMP WITH TIME ZONE NOT NULL,
	authored_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX questionnaireresponse_authored_from ON fhir.questionnaireresponse (authored_from, authored_to, id) WHERE authored_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX questionnaireresponse_authored_to ON fhir.questionnaireresponse (authored_to DESC, id DESC) WHERE authored_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX questionnaireresponse_last_updated ON fhir.questionnaireresponse (last_updated, id);

CREATE INDEX questionnaireresponse_patient ON fhir.questionnaireresponse (patient, id) WHERE patient IS NOT NULL;

CREATE INDEX questionnaireresponse_strings ON fhir.questionnaireresponse USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX questionnaireresponse_tokens ON fhir.questionnaireresponse USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.questionnaireresponse TO ssci_runtime;

CREATE TABLE fhir.questionnaireresponse_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	authored_from TIMESTAMP WITH TIME ZONE,
	authored_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX questionnaireresponse_history_last_updated ON fhir.questionnaireresponse_history (last_updated, id);

CREATE INDEX questionnaireresponse_history_superseded ON fhir.questionnaireresponse_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.questionnaireresponse_history TO ssci_runtime;

CREATE TABLE fhir.researchstudy (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX researchstudy_date_from ON fhir.researchstudy (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX researchstudy_date_to ON fhir.researchstudy (date_to DESC, id DESC);

CREATE INDEX researchstudy_last_updated ON fhir.researchstudy (last_updated, id);

CREATE INDEX researchstudy_strings ON fhir.researchstudy USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX researchstudy_tokens ON fhir.researchstudy USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.researchstudy TO ssci_runtime;

CREATE TABLE fhir.researchstudy_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX researchstudy_history_last_updated ON fhir.researchstudy_history (last_updated, id);

CREATE INDEX researchstudy_history_superseded ON fhir.researchstudy_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.researchstudy_history TO ssci_runtime;

CREATE TABLE fhir.researchsubject (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX researchsubject_date_from ON fhir.researchsubject (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX researchsubject_date_to ON fhir.researchsubject (date_to DESC, id DESC);

CREATE INDEX researchsubject_last_updated ON fhir.researchsubject (last_updated, id);

CREATE INDEX researchsubject_patient ON fhir.researchsubject (patient, date_to DESC, id DESC) WHERE patient IS NOT NULL;

CREATE INDEX researchsubject_strings ON fhir.researchsubject USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX researchsubject_tokens ON fhir.researchsubject USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.researchsubject TO ssci_runtime;

CREATE TABLE fhir.researchsubject_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX researchsubject_history_last_updated ON fhir.researchsubject_history (last_updated, id);

CREATE INDEX researchsubject_history_superseded ON fhir.researchsubject_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.researchsubject_history TO ssci_runtime;

CREATE TABLE fhir.searchparameter (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id)
);

CREATE INDEX searchparameter_context_quantity_canonical_max ON fhir.searchparameter (context_quantity_canonical_max) WHERE context_quantity_canonical_max IS NOT NULL;

CREATE INDEX searchparameter_context_quantity_canonical_min ON fhir.searchparameter (context_quantity_canonical_min) WHERE context_quantity_canonical_min IS NOT NULL;

CREATE INDEX searchparameter_context_quantity_max ON fhir.searchparameter (context_quantity_max) WHERE context_quantity_max IS NOT NULL;

CREATE INDEX searchparameter_context_quantity_min ON fhir.searchparameter (context_quantity_min) WHERE context_quantity_min IS NOT NULL;

CREATE INDEX searchparameter_date_from ON fhir.searchparameter (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX searchparameter_date_to ON fhir.searchparameter (date_to DESC, id DESC);

CREATE INDEX searchparameter_last_updated ON fhir.searchparameter (last_updated, id);

CREATE INDEX searchparameter_strings ON fhir.searchparameter USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX searchparameter_tokens ON fhir.searchparameter USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.searchparameter TO ssci_runtime;

CREATE TABLE fhir.searchparameter_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id, version)
);

CREATE INDEX searchparameter_history_last_updated ON fhir.searchparameter_history (last_updated, id);

CREATE INDEX searchparameter_history_superseded ON fhir.searchparameter_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.searchparameter_history TO ssci_runtime;

CREATE TABLE fhir.servicerequest (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	authored_from TIMESTAMP WITH TIME ZONE NOT NULL,
	authored_to TIMESTAMP WITH TIME ZONE NOT NULL,
	occurrence_from TIMESTAMP WITH TIME ZONE NOT NULL,
	occurrence_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX servicerequest_authored_from ON fhir.servicerequest (authored_from, authored_to, id) WHERE authored_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX servicerequest_authored_to ON fhir.servicerequest (authored_to DESC, id DESC) WHERE authored_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX servicerequest_last_updated ON fhir.servicerequest (last_updated, id);

CREATE INDEX servicerequest_occurrence_from ON fhir.servicerequest (occurrence_from, occurrence_to, id) WHERE occurrence_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX servicerequest_occurrence_to ON fhir.servicerequest (occurrence_to DESC, id DESC) WHERE occurrence_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX servicerequest_patient ON fhir.servicerequest (patient, id) WHERE patient IS NOT NULL;

CREATE INDEX servicerequest_strings ON fhir.servicerequest USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX servicerequest_tokens ON fhir.servicerequest USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.servicerequest TO ssci_runtime;

CREATE TABLE fhir.servicerequest_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	authored_from TIMESTAMP WITH TIME ZONE,
	authored_to TIMESTAMP WITH TIME ZONE,
	occurrence_from TIMESTAMP WITH TIME ZONE,
	occurrence_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX servicerequest_history_last_updated ON fhir.servicerequest_history (last_updated, id);

CREATE INDEX servicerequest_history_superseded ON fhir.servicerequest_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.servicerequest_history TO ssci_runtime;

CREATE TABLE fhir.specimen (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	collected_from TIMESTAMP WITH TIME ZONE NOT NULL,
	collected_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX specimen_collected_from ON fhir.specimen (collected_from, collected_to, id) WHERE collected_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX specimen_collected_to ON fhir.specimen (collected_to DESC, id DESC) WHERE collected_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX specimen_last_updated ON fhir.specimen (last_updated, id);

CREATE INDEX specimen_patient ON fhir.specimen (patient, id) WHERE patient IS NOT NULL;

CREATE INDEX specimen_strings ON fhir.specimen USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX specimen_tokens ON fhir.specimen USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.specimen TO ssci_runtime;

CREATE TABLE fhir.specimen_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	collected_from TIMESTAMP WITH TIME ZONE,
	collected_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX specimen_history_last_updated ON fhir.specimen_history (last_updated, id);

CREATE INDEX specimen_history_superseded ON fhir.specimen_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.specimen_history TO ssci_runtime;

CREATE TABLE fhir.structuredefinition (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id)
);

CREATE INDEX structuredefinition_context_quantity_canonical_max ON fhir.structuredefinition (context_quantity_canonical_max) WHERE context_quantity_canonical_max IS NOT NULL;

CREATE INDEX structuredefinition_context_quantity_canonical_min ON fhir.structuredefinition (context_quantity_canonical_min) WHERE context_quantity_canonical_min IS NOT NULL;

CREATE INDEX structuredefinition_context_quantity_max ON fhir.structuredefinition (context_quantity_max) WHERE context_quantity_max IS NOT NULL;

CREATE INDEX structuredefinition_context_quantity_min ON fhir.structuredefinition (context_quantity_min) WHERE context_quantity_min IS NOT NULL;

CREATE INDEX structuredefinition_date_from ON fhir.structuredefinition (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX structuredefinition_date_to ON fhir.structuredefinition (date_to DESC, id DESC);

CREATE INDEX structuredefinition_last_updated ON fhir.structuredefinition (last_updated, id);

CREATE INDEX structuredefinition_strings ON fhir.structuredefinition USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX structuredefinition_tokens ON fhir.structuredefinition USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.structuredefinition TO ssci_runtime;

CREATE TABLE fhir.structuredefinition_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id, version)
);

CREATE INDEX structuredefinition_history_last_updated ON fhir.structuredefinition_history (last_updated, id);

CREATE INDEX structuredefinition_history_superseded ON fhir.structuredefinition_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.structuredefinition_history TO ssci_runtime;

CREATE TABLE fhir.subscription (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX subscription_last_updated ON fhir.subscription (last_updated, id);

CREATE INDEX subscription_strings ON fhir.subscription USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX subscription_tokens ON fhir.subscription USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.subscription TO ssci_runtime;

CREATE TABLE fhir.subscription_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	PRIMARY KEY (id, version)
);

CREATE INDEX subscription_history_last_updated ON fhir.subscription_history (last_updated, id);

CREATE INDEX subscription_history_superseded ON fhir.subscription_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.subscription_history TO ssci_runtime;

CREATE TABLE fhir.task (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	authored_on_from TIMESTAMP WITH TIME ZONE NOT NULL,
	authored_on_to TIMESTAMP WITH TIME ZONE NOT NULL,
	modified_from TIMESTAMP WITH TIME ZONE NOT NULL,
	modified_to TIMESTAMP WITH TIME ZONE NOT NULL,
	period_from TIMESTAMP WITH TIME ZONE NOT NULL,
	period_to TIMESTAMP WITH TIME ZONE NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX task_authored_on_from ON fhir.task (authored_on_from, authored_on_to, id) WHERE authored_on_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX task_authored_on_to ON fhir.task (authored_on_to DESC, id DESC) WHERE authored_on_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX task_last_updated ON fhir.task (last_updated, id);

CREATE INDEX task_modified_from ON fhir.task (modified_from, modified_to, id) WHERE modified_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX task_modified_to ON fhir.task (modified_to DESC, id DESC) WHERE modified_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX task_patient ON fhir.task (patient, id) WHERE patient IS NOT NULL;

CREATE INDEX task_period_from ON fhir.task (period_from, period_to, id) WHERE period_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX task_period_to ON fhir.task (period_to DESC, id DESC) WHERE period_to > '0001-01-01T00:00:00+00:00';

CREATE INDEX task_strings ON fhir.task USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX task_tokens ON fhir.task USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.task TO ssci_runtime;

CREATE TABLE fhir.task_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	patient TEXT COLLATE "C",
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	authored_on_from TIMESTAMP WITH TIME ZONE,
	authored_on_to TIMESTAMP WITH TIME ZONE,
	modified_from TIMESTAMP WITH TIME ZONE,
	modified_to TIMESTAMP WITH TIME ZONE,
	period_from TIMESTAMP WITH TIME ZONE,
	period_to TIMESTAMP WITH TIME ZONE,
	PRIMARY KEY (id, version)
);

CREATE INDEX task_history_last_updated ON fhir.task_history (last_updated, id);

CREATE INDEX task_history_superseded ON fhir.task_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.task_history TO ssci_runtime;

CREATE TABLE fhir.valueset (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	body JSON NOT NULL,
	tokens TEXT[] COLLATE "C" NOT NULL,
	strings TEXT[] COLLATE "C" NOT NULL,
	date_from TIMESTAMP WITH TIME ZONE NOT NULL,
	date_to TIMESTAMP WITH TIME ZONE NOT NULL,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id)
);

CREATE INDEX valueset_context_quantity_canonical_max ON fhir.valueset (context_quantity_canonical_max) WHERE context_quantity_canonical_max IS NOT NULL;

CREATE INDEX valueset_context_quantity_canonical_min ON fhir.valueset (context_quantity_canonical_min) WHERE context_quantity_canonical_min IS NOT NULL;

CREATE INDEX valueset_context_quantity_max ON fhir.valueset (context_quantity_max) WHERE context_quantity_max IS NOT NULL;

CREATE INDEX valueset_context_quantity_min ON fhir.valueset (context_quantity_min) WHERE context_quantity_min IS NOT NULL;

CREATE INDEX valueset_date_from ON fhir.valueset (date_from, date_to, id) WHERE date_from < '9999-12-31T23:59:59.999999+00:00';

CREATE INDEX valueset_date_to ON fhir.valueset (date_to DESC, id DESC);

CREATE INDEX valueset_last_updated ON fhir.valueset (last_updated, id);

CREATE INDEX valueset_strings ON fhir.valueset USING gin (array_to_tsvector(strings)) WHERE strings != '{}';

CREATE INDEX valueset_tokens ON fhir.valueset USING gin (tokens);

GRANT SELECT, INSERT, UPDATE, DELETE ON fhir.valueset TO ssci_runtime;

CREATE TABLE fhir.valueset_history (
	id TEXT COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	last_updated TIMESTAMP WITH TIME ZONE NOT NULL,
	xid xid8 NOT NULL,
	method TEXT COLLATE "C" NOT NULL,
	created BOOLEAN NOT NULL,
	superseded_xid xid8,
	deleted BOOLEAN DEFAULT false NOT NULL,
	body JSON,
	tokens TEXT[] COLLATE "C",
	strings TEXT[] COLLATE "C",
	date_from TIMESTAMP WITH TIME ZONE,
	date_to TIMESTAMP WITH TIME ZONE,
	context_quantity_min NUMERIC,
	context_quantity_max NUMERIC,
	context_quantity_canonical_min NUMERIC,
	context_quantity_canonical_max NUMERIC,
	context_quantity_units TEXT[] COLLATE "C",
	context_quantity_lows NUMERIC[],
	context_quantity_highs NUMERIC[],
	context_type_quantity_codes TEXT[] COLLATE "C",
	context_type_quantity_units TEXT[] COLLATE "C",
	context_type_quantity_lows NUMERIC[],
	context_type_quantity_highs NUMERIC[],
	PRIMARY KEY (id, version)
);

CREATE INDEX valueset_history_last_updated ON fhir.valueset_history (last_updated, id);

CREATE INDEX valueset_history_superseded ON fhir.valueset_history (superseded_xid) WHERE superseded_xid IS NOT NULL;

GRANT SELECT, INSERT ON fhir.valueset_history TO ssci_runtime;

