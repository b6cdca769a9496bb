BEGIN TRANSACTION;
CREATE TABLE declarations (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        study TEXT NOT NULL,
        content TEXT NOT NULL
    );
INSERT INTO "declarations" VALUES(1,'f7179461e84c04f1371cafe5657158d7','one','{"places":[["5770933bca73",{"6892ad789695":1,"eb11a29a9cf9":2}],["d4e68027e69a",{"c1c438f2a659":1}]],"claims":[]}');
INSERT INTO "declarations" VALUES(2,'15f1a00783f565256aacb6ba9681d26e','two','{"places":[["d4e68027e69a",{"c1c438f2a659":1}]],"claims":[]}');
CREATE TABLE evaluations (
        trial_id TEXT NOT NULL REFERENCES trials (id) ON DELETE CASCADE,
        step INTEGER NOT NULL,
        epoch REAL NOT NULL,
        train_loss REAL,
        eval_loss REAL,
        scores TEXT NOT NULL,
        held_out_loss REAL,
        held_out_scores TEXT,
        seconds REAL NOT NULL,
        step_losses BLOB NOT NULL,
        PRIMARY KEY (trial_id, step)
    ) WITHOUT ROWID;
INSERT INTO "evaluations" VALUES('6892ad789695',0,0.0,NULL,NULL,'{"accuracy": 50.0}',NULL,NULL,0.0,X'');
INSERT INTO "evaluations" VALUES('c1c438f2a659',0,0.0,NULL,0.7,'{"accuracy": 50.0}',NULL,NULL,0.0,X'');
INSERT INTO "evaluations" VALUES('c1c438f2a659',2,1.0,0.5,0.6,'{"accuracy": 75.0}',NULL,NULL,2.5,X'000000000000E83F000000000000D03F');
CREATE TABLE older_ids (older_id TEXT PRIMARY KEY, id TEXT NOT NULL);
CREATE TABLE placements (
        study TEXT NOT NULL REFERENCES studies (name) ON DELETE CASCADE,
        trial_id TEXT NOT NULL REFERENCES trials (id),
        position INTEGER NOT NULL,
        arms TEXT NOT NULL,
        PRIMARY KEY (study, trial_id)
    );
INSERT INTO "placements" VALUES('one','c1c438f2a659',0,'["lora", "other"]');
INSERT INTO "placements" VALUES('one','6892ad789695',1,'["full"]');
INSERT INTO "placements" VALUES('one','eb11a29a9cf9',2,'["full"]');
INSERT INTO "placements" VALUES('two','c1c438f2a659',0,'["a"]');
CREATE TABLE shown (
        trial_id TEXT NOT NULL,
        declaration INTEGER NOT NULL REFERENCES declarations (number) ON DELETE CASCADE,
        shown_at TEXT NOT NULL,
        PRIMARY KEY (trial_id, declaration)
    ) WITHOUT ROWID
    ;
INSERT INTO "shown" VALUES('c1c438f2a659',1,'2026-11-24T19:16:40.000000+00:00');
INSERT INTO "shown" VALUES('c1c438f2a659',2,'2026-11-24T19:16:40.000000+00:00');
CREATE TABLE studies (
        name TEXT PRIMARY KEY,
        spec TEXT NOT NULL,
        saved_at TEXT NOT NULL
    , basis TEXT);
INSERT INTO "studies" VALUES('one','{"name": "one"}','2026-11-24T19:16:40+00:00','b7c2a90d11ef');
INSERT INTO "studies" VALUES('two','{"name": "two"}','2026-11-24T19:16:40+00:00',NULL);
CREATE TABLE "trials" (
        id TEXT PRIMARY KEY,
        trial TEXT NOT NULL,
        status TEXT NOT NULL
            CHECK (status IN ('pending', 'running', 'done', 'failed', 'pruned')),
        error TEXT,
        costs TEXT,
        num_train_examples INTEGER,
        num_eval_examples INTEGER,
        provenance TEXT,
        started_at TEXT,
        ended_at TEXT,
        task TEXT,
        total_seconds REAL
    );
INSERT INTO "trials" VALUES('c1c438f2a659','{"task":"sst2","data":{"source":"folder","location":"glue","digest":"d1","files":null},"model":{"name":"minilm","fingerprint":"f1"},"method":"lora","method_config":{"r":8,"target_modules":["query","value"]},"training":{"num_train_epochs":1,"max_steps":-1,"per_device_train_batch_size":8,"per_device_eval_batch_size":8,"gradient_accumulation_steps":1,"learning_rate":0.0005,"weight_decay":0.0,"adam_beta1":0.9,"adam_beta2":0.999,"adam_epsilon":1e-8,"max_grad_norm":1.0,"lr_scheduler_type":"linear","warmup_steps":0.0},"seed":1,"seeds":{"init":4536340161974873534,"order":400636439581853868,"dropout":1014664855344394174},"max_train_samples":64,"max_eval_samples":null,"max_length":128,"engine":"packed","cache_frozen":false,"selection":null,"definition":null,"rules":1}','done',NULL,'{"parameters": {"trainable": 30, "total": 1000, "total_peft_counting": 1010, "backbone": 0, "adapter": 20, "head": 10}, "device": "cpu", "threads": 2, "train_seconds": 2.5, "eval_seconds": 0.5, "total_seconds": 3.25, "train_examples_per_second": 25.6, "train_tokens_per_second": 512.0, "padding_avoided": 0.25, "path": "packed", "cached_layers": 0, "caching_seconds": 0.0, "peak_memory_bytes": 1000000, "artifact_bytes": 4096, "energy_joules": null}',64,16,'{"git":null,"machine":null,"versions":{"peftlab":"0.1.0"}}','2026-11-24T19:16:40+00:00','2026-11-24T19:16:40+00:00','sst2',3.25);
INSERT INTO "trials" VALUES('6892ad789695','{"task":"sst2","data":{"source":"folder","location":"glue","digest":"d1","files":null},"model":{"name":"minilm","fingerprint":"f1"},"method":"full","method_config":{},"training":{"num_train_epochs":1,"max_steps":-1,"per_device_train_batch_size":8,"per_device_eval_batch_size":8,"gradient_accumulation_steps":1,"learning_rate":0.0005,"weight_decay":0.0,"adam_beta1":0.9,"adam_beta2":0.999,"adam_epsilon":1e-8,"max_grad_norm":1.0,"lr_scheduler_type":"linear","warmup_steps":0.0},"seed":1,"seeds":{"init":4536340161974873534,"order":400636439581853868,"dropout":1014664855344394174},"max_train_samples":64,"max_eval_samples":null,"max_length":128,"engine":"packed","cache_frozen":false,"selection":null,"definition":null,"rules":1}','failed','the training loss is nan',NULL,NULL,NULL,'{"git":null,"machine":null,"versions":{"peftlab":"0.1.0"}}','2026-11-24T19:16:40+00:00','2026-11-24T19:16:40+00:00','sst2',NULL);
INSERT INTO "trials" VALUES('eb11a29a9cf9','{"task":"sst2","data":{"source":"folder","location":"glue","digest":"d1","files":null},"model":{"name":"minilm","fingerprint":"f1"},"method":"full","method_config":{},"training":{"num_train_epochs":1,"max_steps":-1,"per_device_train_batch_size":8,"per_device_eval_batch_size":8,"gradient_accumulation_steps":1,"learning_rate":0.0005,"weight_decay":0.0,"adam_beta1":0.9,"adam_beta2":0.999,"adam_epsilon":1e-8,"max_grad_norm":1.0,"lr_scheduler_type":"linear","warmup_steps":0.0},"seed":2,"seeds":{"init":1842311477311629128,"order":5751787601858758585,"dropout":6178189803755588794},"max_train_samples":64,"max_eval_samples":null,"max_length":128,"engine":"packed","cache_frozen":false,"selection":null,"definition":null,"rules":1}','pending',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'sst2',NULL);
CREATE INDEX placements_by_trial ON placements (trial_id);
CREATE INDEX trials_counted ON trials (id, status, task, total_seconds, ended_at);
CREATE INDEX trials_by_status ON trials (status, ended_at);
PRAGMA user_version = 6;
COMMIT;
