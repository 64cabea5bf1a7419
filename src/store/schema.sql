-- Six tables. Timestamps are UTC, YYYY-MM-DD HH:MM:SS[.SSS], as datetime() writes them.
CREATE TABLE improvement_scripts (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 128),
  lang TEXT NOT NULL CHECK (lang IN ('pixel','cartridge','python')),
  purpose TEXT,
  code TEXT NOT NULL CHECK (length(code) <= 262144),
  enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0,1)),
  created_at TEXT NOT NULL,
  last_run_at TEXT,
  run_count INTEGER NOT NULL DEFAULT 0,
  success_count INTEGER NOT NULL DEFAULT 0,
  origin TEXT NOT NULL DEFAULT 'user' CHECK (origin IN ('user','evolve','llm','import')),
  interval_s REAL CHECK (interval_s > 0), -- NULL: due every cycle
  next_run_at TEXT,
  fail_streak INTEGER NOT NULL DEFAULT 0,
  max_fail_streak INTEGER NOT NULL DEFAULT 5,
  disabled_reason TEXT,
  goal_id INTEGER REFERENCES development_goals(id),
  CHECK (success_count <= run_count),
  CHECK (NOT (lang = 'python' AND origin IN ('evolve','llm')))
) STRICT;
CREATE INDEX ix_scripts_due ON improvement_scripts(next_run_at) WHERE enabled = 1;

CREATE TABLE improvement_runs (
  id INTEGER PRIMARY KEY,
  script_id INTEGER REFERENCES improvement_scripts(id) ON DELETE RESTRICT, -- NULL: asked for through the API
  started_at TEXT NOT NULL,
  finished_at TEXT,
  success INTEGER CHECK (success IN (0,1)),
  stdout TEXT, stderr TEXT,
  duration_ms INTEGER CHECK (duration_ms >= 0),
  backend TEXT CHECK (backend IN ('gpu','cpu','none')),
  cartridge_path TEXT,
  run_uuid TEXT NOT NULL UNIQUE,
  boot_id TEXT NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 1,
  status TEXT NOT NULL CHECK (status IN ('running','ok','failed','abandoned','skipped')),
  code_sha256 TEXT NOT NULL,
  cycles INTEGER, fuel INTEGER, canvas_sha256 TEXT,
  CHECK ((status = 'running') = (finished_at IS NULL))
) STRICT;
CREATE INDEX ix_runs_script ON improvement_runs(script_id, id);
CREATE INDEX ix_runs_open ON improvement_runs(boot_id) WHERE status = 'running';
CREATE INDEX ix_runs_rest ON improvement_runs(status, id) WHERE status <> 'ok';

CREATE TABLE development_goals (
  id INTEGER PRIMARY KEY,
  goal TEXT NOT NULL,
  priority INTEGER NOT NULL DEFAULT 5 CHECK (priority BETWEEN 1 AND 10),
  completed INTEGER NOT NULL DEFAULT 0 CHECK (completed IN (0,1)),
  created_at TEXT NOT NULL,
  completed_at TEXT,
  spec_json TEXT CHECK (spec_json IS NULL OR json_valid(spec_json)),
  best_score REAL, best_map_id INTEGER REFERENCES infinite_map(id)
) STRICT;

CREATE TABLE infinite_map (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  iteration INTEGER NOT NULL,
  task_description TEXT,
  code TEXT,
  result TEXT,
  analysis TEXT,
  timestamp TEXT NOT NULL,
  parent_iteration INTEGER REFERENCES infinite_map(id),
  parent_b INTEGER REFERENCES infinite_map(id),
  kind TEXT NOT NULL CHECK (kind IN ('genesis','run','abandoned','script','elite','migrate','llm','edit','goal','system')),
  run_id INTEGER UNIQUE REFERENCES improvement_runs(id),
  goal_id INTEGER REFERENCES development_goals(id),
  x INTEGER NOT NULL DEFAULT 0, y INTEGER NOT NULL DEFAULT 0,
  code_sha256 TEXT, result_sha256 TEXT,
  score REAL,
  seed INTEGER, operator TEXT,
  prev_hash TEXT NOT NULL, row_hash TEXT NOT NULL UNIQUE
) STRICT;
CREATE INDEX ix_map_parent ON infinite_map(parent_iteration);
CREATE INDEX ix_map_parent_b ON infinite_map(parent_b) WHERE parent_b IS NOT NULL;
CREATE INDEX ix_map_xy ON infinite_map(x, y, id);
CREATE INDEX ix_map_iter ON infinite_map(iteration);
CREATE INDEX ix_map_script ON infinite_map(y, id) WHERE kind = 'script';
CREATE TRIGGER map_no_update BEFORE UPDATE ON infinite_map BEGIN SELECT RAISE(ABORT,'infinite_map is append-only'); END;
CREATE TRIGGER map_no_delete BEFORE DELETE ON infinite_map BEGIN SELECT RAISE(ABORT,'infinite_map is append-only'); END;
CREATE TRIGGER map_parent_older AFTER INSERT ON infinite_map
 WHEN NEW.parent_iteration >= NEW.id OR NEW.parent_b >= NEW.id
 BEGIN SELECT RAISE(ABORT,'a parent must be older than its child'); END;

CREATE TABLE cartridge_registry (
  id INTEGER PRIMARY KEY,
  path TEXT NOT NULL UNIQUE CHECK (path NOT LIKE '/%' AND path NOT LIKE '%..%'),
  kind TEXT NOT NULL CHECK (kind IN ('pixel','code','dataset','prompt')),
  checksum TEXT NOT NULL CHECK (length(checksum) = 64),
  width INTEGER CHECK (width BETWEEN 1 AND 4096), height INTEGER CHECK (height BETWEEN 1 AND 4096),
  created_at TEXT NOT NULL,
  parent_id INTEGER REFERENCES cartridge_registry(id),
  executed_count INTEGER NOT NULL DEFAULT 0,
  slug TEXT NOT NULL UNIQUE, meta_json TEXT CHECK (meta_json IS NULL OR json_valid(meta_json)),
  map_id INTEGER REFERENCES infinite_map(id),
  deleted_at TEXT
) STRICT;
CREATE INDEX ix_cart_sum ON cartridge_registry(checksum);

CREATE TABLE system_metrics (
  id INTEGER PRIMARY KEY,
  timestamp TEXT NOT NULL,
  metric_name TEXT NOT NULL,
  metric_value REAL NOT NULL,
  context TEXT,
  grain TEXT NOT NULL DEFAULT 'raw' CHECK (grain IN ('raw','hour','day'))
) STRICT;
CREATE INDEX ix_metrics ON system_metrics(metric_name, timestamp);
