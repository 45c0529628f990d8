# Two commands are enough: `make demo` and `make test`. Both bring what they need into ./.venv.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# The first interpreter that is 3.11 or newer; `make setup PYTHON=/path/to/python` chooses another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
BIN := .venv/bin
READY := .venv/.ready
GO_TOOLS := .bin/.ready
export OMP_NUM_THREADS ?= 1
# Kept bytecode, also where a container switches it off: the tests start many processes, each would compile anew.
unexport PYTHONDONTWRITEBYTECODE

# Options of `make demo`, each handed on only when it is set.
DEMO_OPTIONS = $(if $(ONCE),--once) $(if $(FRESH),--fresh) $(if $(EVENTS),--events '$(EVENTS)') \
	$(if $(TIMEZONE),--timezone '$(TIMEZONE)') $(if $(CURRENCY),--currency '$(CURRENCY)') \
	$(if $(PORT_OFFSET),--port-offset '$(PORT_OFFSET)') $(if $(PACKAGE),--package '$(PACKAGE)') $(foreach m,$(MAP),--map '$(m)') \
	$(foreach a,$(ALLOW),--allow '$(a)')

.PHONY: help setup tools demo compose compose-down test test-system console-pictures test-compose test-cluster soak soak-compose soak-cluster check lint format scan audit sbom terraform terraform-lock lock accuracy notebooks clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo
	@echo '  make demo ONCE=1                     ends by itself, exit code 0 only if every step did what it says'
	@echo '  make demo EVENTS=folder-or-file      the same on your own events (Parquet or CSV)'
	@echo '       MAP="quantity=Qty price=Cost"   columns whose names cannot be guessed, as field=column'
	@echo '       TIMEZONE=Europe/London          how to read times without a zone (else the shop zone, and it says so)'
	@echo '       CURRENCY=EUR ALLOW="one-month"  what the file does not say; which file checks to pass over'
	@echo '  make demo PACKAGE=base               of the offer: base, collect (the default) or operate'
	@echo '  make demo PORT_OFFSET=100            other ports: 8100 to 8104 and 5100'
	@echo '  make demo FRESH=1                    forgets what an earlier demo kept'

setup: $(READY) ## The locked dependencies, in ./.venv

$(READY): requirements/dev.txt requirements/uv.txt
	@test -n '$(PYTHON)' || { echo 'No Python 3.11 or newer found; install one or name it: make setup PYTHON=/path/to/python' >&2; exit 1; }
	@echo 'setup: locked dependencies into ./.venv' >&2
	@if command -v uv >/dev/null; then uv=uv; else \
		'$(PYTHON)' -m venv .venv/uv && .venv/uv/bin/pip install -q --require-hashes -r requirements/uv.txt && uv=.venv/uv/bin/uv; fi && \
	"$$uv" venv -q --allow-existing --python '$(PYTHON)' .venv && \
	"$$uv" pip sync -q --python .venv/bin/python --require-hashes requirements/dev.txt
	@touch $@

tools: $(GO_TOOLS) ## kustomize, kubeconform, actionlint, schemas and the policy judge, pinned and checksummed

GO = cd $(1) && PATH="$(CURDIR)/$(BIN):$$PATH" GOTOOLCHAIN=local GOFLAGS=-mod=readonly CGO_ENABLED=0 GOBIN='$(CURDIR)/.bin' go
$(GO_TOOLS): tools/go.mod tools/go.sum tools/schemas.sum scripts/schemas.py $(wildcard tools/judge/*) | $(READY)
	@echo 'tools: building kustomize, kubeconform, actionlint and the policy judge (minutes, once)' >&2
	@mkdir -p .bin
	@$(call GO,tools) install -trimpath -ldflags '-s -w' tool
	@$(call GO,tools/judge) build -trimpath -ldflags '-s -w' -o '$(CURDIR)/.bin/judge' .
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m scripts.schemas >/dev/null
	@touch $@

demo: $(READY) ## The whole loop: events, forecast, decision, promotion, revert, drift
	@exec $(BIN)/python -m scripts.demo $(DEMO_OPTIONS)

compose: $(READY) ## The whole platform in containers, by Docker Compose; NEWEST=1 releases this checkout there
	@exec $(BIN)/python -m scripts.compose up $(if $(NEWEST),--newest)

compose-down: $(READY) ## Stop it; FORGET=1 also removes its data and secrets
	@exec $(BIN)/python -m scripts.compose down $(if $(FORGET),--volumes)

# Before Python 3.14 counting branches makes everything a third slower, so it is asked for where the number counts.
test: $(READY) $(GO_TOOLS) ## All tests that need no system package; COVERAGE=1 asserts that of branches
	$(BIN)/pytest -n 2 --dist worksteal -m 'not system and not compose and not cluster and not soak' $(if $(COVERAGE),--cov --cov-report=term)

# A venv of its own with the locked libraries of one extra.
.venv/%/.ready: requirements/%.txt | $(READY)
	@echo '$@: locked libraries into ./.venv/$*' >&2
	@uv=$$(command -v uv || echo .venv/uv/bin/uv) && \
	"$$uv" venv -q --allow-existing --python '$(PYTHON)' .venv/$* && \
	"$$uv" pip sync -q --python .venv/$*/bin/python --require-hashes requirements/$*.txt
	@touch $@

test-system: $(READY) $(GO_TOOLS) .venv/spark/.ready .venv/notebooks/.ready ## Tests with Debian's Prometheus, Chromium and Java (installs them)
	tests/system/install
	$(BIN)/pytest -m 'system and not soak'

console-pictures: $(READY) ## The pictures of docs/console.md, anew
	CONSOLE_PICTURES=docs/console $(BIN)/pytest -q -m system -k picture tests/system/test_console_pictures.py

test-compose: $(READY) $(GO_TOOLS) .venv/podman-compose/.ready ## The platform of `make compose` on podman (installs it), used and killed
	tests/compose/install
	$(BIN)/pytest -m 'compose and not soak'

test-cluster: $(READY) $(GO_TOOLS) ## Tests on the Kubernetes that KUBECONFIG names
	$(BIN)/pytest -m 'cluster and not soak'

soak: $(READY) $(GO_TOOLS) ## The long campaigns whole: kills, flips, repeats
	$(BIN)/pytest -m 'soak and not compose and not cluster'

soak-compose: $(READY) $(GO_TOOLS) .venv/podman-compose/.ready ## The same, and each of its containers killed
	tests/compose/install
	$(BIN)/pytest -m 'compose'

soak-cluster: $(READY) $(GO_TOOLS) ## The long campaigns on the Kubernetes that KUBECONFIG names
	$(BIN)/pytest -m 'soak and cluster'

check: COVERAGE := 1
check: lint test ## What CI runs: format, lint, types, tests

lint: $(READY) ## Format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY) ## Format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

scan: $(READY) $(GO_TOOLS) .venv/scan/.ready ## Terraform, manifests and Dockerfiles by checkov, every file by detect-secrets
	$(BIN)/python -m scripts.scan

audit: .venv/scan/.ready ## Known vulnerabilities in the locked packages; a package that the index knows nothing of fails
	for lock in $(filter-out requirements/uv.txt,$(wildcard requirements/*.txt)); do echo "audit: $$lock" >&2; \
	.venv/scan/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r "$$lock" || exit; done

sbom: $(READY) ## CycloneDX of every image's locked libraries, as one JSON object on stdout
	@$(BIN)/python -m scripts.sbom

TOFU ?= $(shell command -v tofu || command -v terraform)
LOCK := terraform/.terraform.lock.hcl
terraform: ## Format and types of terraform/ by OpenTofu or Terraform, which fetches the provider that the lock names
	@test -n '$(TOFU)' || { echo 'Neither tofu nor terraform is installed' >&2; exit 1; }
	'$(TOFU)' -chdir=terraform fmt -check -diff
	@test -f $(LOCK) || { echo '$(LOCK) is missing: run make terraform-lock and commit it' >&2; exit 1; }
	'$(TOFU)' -chdir=terraform init -backend=false -input=false -lockfile=readonly
	'$(TOFU)' -chdir=terraform validate

terraform-lock: ## Hashes of the provider for every machine that runs it; asks the provider registry
	@test -n '$(TOFU)' || { echo 'Neither tofu nor terraform is installed' >&2; exit 1; }
	'$(TOFU)' -chdir=terraform providers lock -platform=linux_amd64 -platform=linux_arm64 -platform=darwin_arm64

IMAGES := collector forecast decision console oncall training spark bench notebooks scan dev
lock: $(READY) ## Lock every extra with hashes after a change in pyproject.toml
	@uv=$$(command -v uv || echo .venv/uv/bin/uv); for image in $(IMAGES); do echo "lock: $$image" >&2; \
	"$$uv" pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --extra "$$image" pyproject.toml -o "requirements/$$image.txt" || exit; done

accuracy: .venv/bench/.ready ## Forecasts beside those of libraries, written to docs/accuracy.md; DATA=folder of panels
	.venv/bench/bin/python -W ignore -m benchmarks.accuracy $(if $(DATA),--data '$(DATA)')

notebooks: .venv/notebooks/.ready ## Run the notebooks anew, in place
	cd notebooks && for each in *.ipynb; do PYTHONPATH=.. ../.venv/notebooks/bin/jupyter-execute --inplace "$$each" || exit; done

clean: ## Remove what the targets made: .venv, .bin, .demo and caches
	rm -rf .venv .bin .demo .compose .accuracy .mypy_cache .pytest_cache .ruff_cache .hypothesis
