SHELL := /bin/bash
ENV ?= ambs
PYTEST_ARGS ?=

.PHONY: demo test lint bench

demo:   ## the whole workflow on made-up weather, 12 minutes at most on 2 cores
	demo/run_demo.sh $(ENV)

test:
	source env_setup/create_env.sh $(ENV) --dev && python -m pytest -n auto --maxprocesses 4 --dist loadfile $(PYTEST_ARGS)

lint:
	source env_setup/create_env.sh $(ENV) --dev && ruff check
	@if command -v shellcheck >/dev/null; then shellcheck -x env_setup/*.sh demo/*.sh .ci/run video_prediction_tools/config_runscripts/*.sh; else echo "shellcheck is not installed: shell scripts not checked"; fi

bench:
	source env_setup/create_env.sh $(ENV) --dev && for one in $(filter-out benchmarks/uk_experiment.py,$(wildcard benchmarks/*.py)); do echo "== $$one"; python "$$one" || exit 1; done
