# make demo    the whole study on the embedded data set, in about four minutes after the install, and a portrait read
# make test    checks, and the tests that take six minutes on two cores
# make test-all    checks, all tests, and the share of branches that they take
# make check-records    tables, cards and figures in the documents against the committed records
# make reproduce CSV=fer2013.csv VOTES=fer2013new.csv    the models that ship, from the csv to src/mien/assets
# All make .venv first, if need be, and work again when run again.

VENV := .venv
RUN := $(VENV)/bin
REPORT := runs/demo

.PHONY: demo test test-all check check-records bench reproduce

demo: $(VENV)/.train
	$(RUN)/mien compare --data sketch --arms seed,seed_augmented --seeds 3 --out $(REPORT) \
	  --set model=seed_cnn_eighth --set epochs=7 --set lr=0.005
	$(RUN)/mien analyze --sample --format table --annotate $(REPORT)

# A process for each core, of one thread each: two busy ones with two threads each take four times as long. A file's tests stay
# together, as they share what is costly to make, and README's commands go on from each other. See docs/testing.md.
PYTEST = OMP_NUM_THREADS=1 MIEN_THREADS=1 $(RUN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile

test: check
	$(PYTEST) -m "smoke or not (slow or browser or cluster or docs)"

test-all: check
	$(PYTEST) --cov --cov-report= --durations=25
	$(RUN)/coverage report --skip-covered

check-records: $(VENV)/.dev
	$(RUN)/python -m pytest -m records

check: $(VENV)/.dev
	$(RUN)/ruff format --check
	$(RUN)/ruff check
	$(RUN)/mypy
	$(RUN)/lint-imports --no-cache

bench: $(VENV)/.dev
	@test -n "$(CSV)" || { echo "make bench needs the data: make bench CSV=path/to/fer2013.csv" >&2; exit 2; }
	$(RUN)/python benchmarks/data.py $(CSV)
	$(RUN)/python benchmarks/training.py --sharing

# The book: every command from the csv to the released weights, in order. Stopped at any line, it goes on there when run again.
# Minutes are of one core of two with bf16; scores are accuracies on PublicTest, single forwards, within about a point by seed.
DATA = --data $(CSV) --votes $(VOTES)
TRAIN = $(RUN)/mien train
RELEASE = $(RUN)/python experiments/release.py

reproduce: $(VENV)/.dev
	@test -n "$(CSV)" -a -n "$(VOTES)" || { \
	  echo "make reproduce needs FER2013 and its votes: make reproduce CSV=fer2013.csv VOTES=fer2013new.csv" >&2; exit 2; }
	$(RUN)/mien data $(CSV) --votes $(VOTES)
# 75 minutes; 69.5 % by FER2013's labels
	$(TRAIN) release_base $(DATA) --out runs/base --resume
	$(RELEASE) base runs/base $(CSV) $(VOTES)
# 50 minutes, taught by base; 66.0 % by FER2013's labels
	$(TRAIN) release_nano $(DATA) --out runs/nano --resume
	$(RELEASE) nano runs/nano $(CSV) $(VOTES)
# 60 minutes; 87.7 % by the raters' majority of seven classes
	$(TRAIN) release_photo $(DATA) --out runs/photo --resume
	$(RELEASE) photo runs/photo $(CSV) $(VOTES)
# 12 minutes, from photo; 87.8 % by the raters' majority of eight classes
	$(TRAIN) release_ferplus $(DATA) --init photo --out runs/ferplus --resume
	$(RELEASE) ferplus runs/ferplus $(CSV) $(VOTES)
# 5 minutes: the models where boxes are off and faces small; 40 minutes: what each part of the recipes brings
	$(RUN)/python experiments/shipped.py $(CSV) $(VOTES)
	$(RUN)/python experiments/ablation.py $(CSV) $(VOTES) runs/ablation
# an hour, most of it for altered faces; each model is kept when it is done
	$(RUN)/python experiments/evaluation_reports.py $(CSV) $(VOTES)
	$(RUN)/python experiments/model_card.py
	$(RUN)/python experiments/tables.py

# The first Python that is new enough and can make virtual environments.
$(VENV)/bin/python:
	@for p in python3 python3.13 python3.12 python3.11 python; do \
	  if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    found=$$p; \
	    if $$p -c 'import venv, ensurepip' 2>/dev/null; then \
	      echo "$$p -m venv $(VENV)"; $$p -m venv $(VENV) && exit 0; rm -rf $(VENV); exit 1; fi; fi; done; \
	if [ -n "$$found" ]; then \
	  echo "$$found has no venv. Install the package $$($$found -c 'import sys; print("python3.%d-venv" % sys.version_info[1])') and run make again." >&2; \
	else echo "mien needs Python 3.11 or newer. Install the package python3.11 (with python3.11-venv) and run make again." >&2; fi; exit 1

$(VENV)/.train: $(VENV)/bin/python pyproject.toml constraints.txt
	$(RUN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train]'
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(RUN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.train
