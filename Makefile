SHELL := /bin/bash
ENV ?= ambs
PYTEST_ARGS ?=
# tests at a time: one more than the two cores of a small machine, as those that wait for Slurm use none
WORKERS ?= 3

BENCHMARKS = bootstrap generator_start input_pipeline kill_and_restart models_table preprocess runscripts_on_slurm scoring two_workers

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
	source env_setup/create_env.sh $(ENV) --dev && for one in $(BENCHMARKS); do echo "== $$one"; python "benchmarks/$$one.py" || exit 1; done
