# The commands of the project; `make` alone lists them. A set-up that is missing is made first.
SHELL         := /bin/bash
.SHELLFLAGS   := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help tools ready small demo mini try-mini check check-all lint quick slow oldest bench faults fuzz clean

environment = root=$$PWD && . local/path.sh
for_tests   = export C2SER_NEEDS="ruff mypy pytest xdist hypothesis nbclient onnxscript onnxruntime"; $(environment)
model_tests = tests/test_{c2ser,decoding,encoders,hub,baseline_kinds}.py
checkpoint  = tools/penn/fcnf0++.pt
scripts     = $$(git ls-files --cached --others --exclude-standard '*.sh' .ci/run)

help: ## show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | awk -F'\t' '{ printf "  make %-10s %s\n", $$1, $$2 }'

tools: ## make the environment in tools/venv and fetch PENN's checkpoint (about 5 GB, some minutes)
	$(MAKE) -C tools

# An active environment that has the packages is used as it is.
ready:
	@($(for_tests)) 2> /dev/null || $(MAKE) tools
	@[ -f $(checkpoint) ] || { $(environment) && python tools/get_models.py penn; }

small: ready ## fetch the pretrained models of --size small: Whisper-base and SmolLM2-135M-Instruct (0.4 GB)
	@$(environment); for name in whisper-base smollm2-135m-instruct; do python tools/get_models.py $$name; done

mini: ready ## the main job: ten stages on a corpus made on the spot, from raw audio to a scored model
	egs/mini/run.sh
	@echo; cat egs/mini/exp/RESULTS.md
	@$(MAKE) --silent try-mini

# The command that a newcomer pastes next; the environment may not be active in that shell.
try-mini:
	@$(environment); tool=$$(type -P c2ser) || tool="PYTHONPATH=. $$(type -P python) -m c2ser"; \
	printf '\nTry the model on a file:  %s predict --model egs/mini/exp/implicit egs/mini/db/linda/en-anger-1.wav\n' \
		"$${tool//"$$PWD"\//}"

demo: ready small ## train the small pretrained model on EMO-DB and try it; DB=FOLDER if it is there
	@DB='$(DB)' tools/demo.sh

check: lint quick ## the quick tests: ruff, shellcheck, types, pytest

lint: ready
	@$(for_tests); set -x; python -m ruff check .; python -m ruff format --check .; python -m mypy; \
	shellcheck -x -P SCRIPTDIR $(scripts) local/site.sh.example

quick: ready
	@$(for_tests); set -x; python -m pytest -n auto --dist loadgroup -m "not slow"

check-all: check slow ## the slow tests too, such as whole recipes

slow: ready
	@$(for_tests); python -m pytest -n auto --dist loadgroup -m slow

oldest: ready ## the models' quick tests with the oldest transformers, peft and accelerate that setup.py allows
	@$(MAKE) -C tools oldest; $(for_tests); set -x; export PYTHONPATH=$$PWD/tools/oldest:$${PYTHONPATH-}; \
	python -m pytest -n auto --dist loadgroup -m "not slow" $(model_tests)

bench: ready ## speed against other implementations (extra [peer]); docs/benchmarks.md has the rules
	@$(environment); python tools/run_benchmark.py

faults: ready ## bad inputs, canaries and injected faults, some minutes; docs/faults.md says what they are
	@$(environment); python tools/run_faults.py; python tools/run_faults.py --injected

fuzz: ready ## give damaged inputs to the readers for ten minutes
	@$(environment); python tools/run_fuzz.py

clean: ## remove what recipes have made, not the environment
	rm -rf egs/*/data egs/*/exp egs/*/db
