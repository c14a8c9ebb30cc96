SHELL := /bin/bash
ENV ?= ambs
PYTEST_ARGS ?=
# tests at a time: one more than the two cores of a small machine, as those that wait for Slurm use none
WORKERS ?= 3

BENCHMARKS = bootstrap.py conv_lstm_speed convolutions.py generator_start.py input_pipeline.py kill_and_restart.py models_table.py \
	preprocess.py runscripts_on_slurm.py scoring.py two_workers.py

.PHONY: demo demo-mnist test lint bench

demo:   ## the whole workflow on made-up weather, 12 minutes at most on 2 cores
	demo/run_demo.sh $(ENV)

demo-mnist:   ## the same on Moving MNIST, about 5 minutes; DIGITS_DIR=<directory of the MNIST files>, else of made-up digits
	demo/run_demo.sh $(ENV) moving_mnist

test:
	source env_setup/create_env.sh $(ENV) --dev && python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

lint:
	source env_setup/create_env.sh $(ENV) --dev && ruff check
	@if command -v shellcheck >/dev/null; then shellcheck -x env_setup/*.sh demo/*.sh .ci/run video_prediction_tools/config_runscripts/*.sh; else echo "shellcheck is not installed: shell scripts not checked"; fi

bench:   ## those that need no data; each says in its first lines what it prints
	source env_setup/create_env.sh $(ENV) --dev && for one in $(BENCHMARKS); do echo "== $$one"; python "benchmarks/$$one" || exit 1; done
