# signloop: thin front of Meson. `make help` lists what there is.
# The first use installs the Debian packages named here (it says so first).

BUILD    ?= build
MESON    := $(BUILD)/build.ninja
DATA     ?= data
LISTEN   ?= 127.0.0.1:8000
NINJA    := ninja -C $(BUILD)
VENV     := $(BUILD)/venv
PYTHON   := $(VENV)/bin/python
CI_FLAGS := $(if $(CI),-Dwerror=true,)
FEATURES := -Dauto_features=enabled
SERVERS  := deploy/dev/servers
export SIGNLOOP_SERVERS ?= $(abspath $(BUILD))/servers

# What the build needs, what the tests need beside it, what the real servers need, what the formatter needs.
BUILD_PACKAGES := gcc libc6-dev meson ninja-build pkg-config python3 libmicrohttpd-dev libdnnl-dev libsqlite3-dev \
  libjansson-dev libjpeg62-turbo-dev libspng-dev libcurl4-openssl-dev libprotobuf-c-dev protobuf-c-compiler \
  protobuf-compiler libonnx-dev nettle-dev libarchive-dev librdkafka-dev libmongoc-dev
TEST_PACKAGES := python3-venv chromium chromium-driver fonts-noto-cjk git libasan8 libubsan1 libtsan2 kcat jq curl openssl
SERVER_PACKAGES := openjdk-17-jre-headless maven python3-venv
FMT_PACKAGES := clang-format

.PHONY: all run test check bench fmt clean help test-sanitize test-servers test-e2e test-all venv models soak
.PHONY: bench-cluster chaos test-minimal servers servers-down servers-status server-packages
all: $(BUILD)/signloop

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24

# $(call need,PACKAGES): installs those of them that are absent, through sudo where not root.
define need
@missing=$$(for p in $(1); do dpkg -s $$p >/dev/null 2>&1 || printf '%s ' $$p; done); \
if [ -n "$$missing" ]; then \
  echo "signloop: installing Debian packages: $$missing"; \
  sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
  $$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null \
    || { echo "signloop: could not install: $$missing; install them by hand and call make again" >&2; exit 1; }; \
fi
endef

$(MESON): meson.build
	$(call need,$(BUILD_PACKAGES))
	@[ -f $@ ] || meson setup $(CI_FLAGS) $(FEATURES) $(BUILD)

.PHONY: $(BUILD)/signloop
$(BUILD)/signloop: $(MESON)
	@$(NINJA) signloop

run: $(BUILD)/signloop ## builds and serves everything with demo cars on http://127.0.0.1:8000
	$(BUILD)/signloop up --demo --data $(DATA) --listen $(LISTEN)

venv: $(VENV)/done
$(VENV)/done: tests/requirements.txt | $(MESON)
	$(call need,$(TEST_PACKAGES))
	@echo "signloop: installing the tests' Python packages into $(VENV)"
	@python3 -m venv $(VENV) && $(VENV)/bin/pip install -q --disable-pip-version-check -r tests/requirements.txt
	@touch $@

servers: server-packages ## starts real Kafka, HDFS, HBase and a MongoDB-protocol server on 127.0.0.1
	@$(SERVERS) up

servers-down: ## ends them; their data stays in $(BUILD)/servers
	@$(SERVERS) down

servers-status: ## what of them runs, where
	@$(SERVERS) status || true

server-packages:
	$(call need,$(SERVER_PACKAGES))

check: $(MESON) ## the quick part: lint, unit and contract tests, those of the real servers where they run
	@$(NINJA)
	@python3 tools/lint.py
	@eval "$$($(SERVERS) env)"; meson test -C $(BUILD) --no-rebuild --print-errorlogs --suite unit --suite contract

test: $(MESON) venv server-packages ## everything: also real servers, golden, sanitizers, end to end, browser
	@$(NINJA)
	@$(SERVERS) run -- $(MAKE) --no-print-directory test-all

# With the real servers' environment; nothing is skipped for want of one.
test-all: check test-minimal test-sanitize test-servers test-e2e

test-minimal: $(MESON) ## the build without Kafka, HBase, MongoDB and HDFS, which still knows their URLs
	@[ -f $(BUILD)-minimal/build.ninja ] || meson setup $(CI_FLAGS) -Dauto_features=disabled $(BUILD)-minimal >/dev/null
	@ninja -C $(BUILD)-minimal signloop tests/unit/unit_store
	@meson test -C $(BUILD)-minimal --no-rebuild --print-errorlogs store

# gcc warns of what cannot happen when it instruments, so warnings are errors in the plain build only.
test-sanitize: $(MESON) ## unit and contract tests under AddressSanitizer and UndefinedBehaviorSanitizer
	$(call need,$(TEST_PACKAGES))
	@[ -f $(BUILD)-asan/build.ninja ] || meson setup -Db_sanitize=address,undefined -Db_lundef=false $(FEATURES) $(BUILD)-asan >/dev/null
	@ninja -C $(BUILD)-asan
	@eval "$$($(SERVERS) env)"; meson test -C $(BUILD)-asan --no-rebuild --print-errorlogs --suite unit --suite contract

test-servers: $(MESON) venv server-packages ## real servers of the tests' own: killed, frozen, slow, cut
	@$(NINJA)
	@SIGNLOOP_BUILD=$(abspath $(BUILD)) $(PYTHON) -m pytest -q -p no:cacheprovider tests/servers $(PYTEST_FLAGS)

test-e2e: $(MESON) venv ## golden files, the whole circle by HTTP, kills, command line, browser
	@$(NINJA)
	@meson test -C $(BUILD) --no-rebuild --print-errorlogs --suite golden
	@SIGNLOOP_BUILD=$(abspath $(BUILD)) $(PYTHON) -m pytest -q -p no:cacheprovider tests/golden tests/e2e $(PYTEST_FLAGS)

bench: $(MESON) ## frames/s, votes/s, stage times and where the time goes; SHORT=1: half a minute instead of minutes
	@SHORT='$(SHORT)' sh bench/run.sh $(BUILD)

bench-cluster: $(MESON) venv server-packages ## the loop over embedded stores against real servers: rates, lag, whose CPU; SHORT=1: minutes instead of an hour
	@$(NINJA) signloop
	@SIGNLOOP_SERVERS_JAVA=-XX:TieredStopAtLevel=4 $(SERVERS) run -- $(PYTHON) bench/cluster.py $(if $(SHORT),--short)

chaos: $(MESON) venv server-packages ## every server and role killed in turn under load for CHAOS_S seconds (3600); CHAOS_SEED=N
	@$(NINJA)
	@CHAOS_S=$(or $(CHAOS_S),3600) SIGNLOOP_BUILD=$(abspath $(BUILD)) $(PYTHON) -m pytest -q -s -p no:cacheprovider tests/servers/test_chaos.py

fmt: ## formats the C code
	$(call need,$(FMT_PACKAGES))
	@git ls-files 'src/*.[ch]' 'tests/*.[ch]' 'bench/*.[ch]' ':!*_golden.h' | xargs clang-format -i

models: $(BUILD)/signloop ## trains the shipped models anew (needs the data sets: SIGNLOOP_DATASETS=DIR; about an hour on 2 cores)
	@sh tools/train_models.sh $(BUILD)

clean:
	@[ ! -f $(SIGNLOOP_SERVERS)/state.json ] || $(SERVERS) down
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-minimal
