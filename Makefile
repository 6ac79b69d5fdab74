# make demo    the study in small on the embedded data set, three minutes after the install; then the sample image is analyzed
# make test    checks and daily tests, six minutes on two cores
# make test-all    checks, all tests and branch coverage
# make check-records    compare tables, cards and metrics in the documents with the committed records
# make bench CSV=fer2013.csv    benchmarks of data loading and training
# make reproduce CSV=fer2013.csv VOTES=fer2013new.csv    train the shipped models, from the csv to src/mien/assets
# Every target creates .venv if it is missing and can be run again.

VENV := .venv
RUN := $(VENV)/bin
REPORT := runs/demo

.PHONY: demo test test-all check check-records bench reproduce

demo: $(VENV)/.train
	$(RUN)/mien compare --data sketch --arms demo,demo_augmented --seeds 3 --out $(REPORT)
	$(RUN)/mien analyze --sample --format table --annotate $(REPORT)

# One process per core with one thread each: two processes with two threads each take four times as long. The tests of a file run in
# one process, because they share expensive fixtures and the commands of README depend on each other. See docs/testing.md.
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

# All commands from the csv to the released weights, in order. After an interruption, run it again to continue at the same command.
# Minutes are for one of two cores with bf16. Accuracies are on PublicTest, without test-time augmentation; seeds differ by about a point.
DATA = --data $(CSV) --votes $(VOTES)
TRAIN = $(RUN)/mien train
RELEASE = $(RUN)/python experiments/release.py

reproduce: $(VENV)/.dev
	@test -n "$(CSV)" -a -n "$(VOTES)" || { \
	  echo "make reproduce needs FER2013 and its votes: make reproduce CSV=fer2013.csv VOTES=fer2013new.csv" >&2; exit 2; }
	$(RUN)/mien data $(CSV) --votes $(VOTES)
# 75 minutes; accuracy 69.5 % by FER2013's labels
	$(TRAIN) release_base $(DATA) --out runs/base --resume
	$(RELEASE) base runs/base $(CSV) $(VOTES)
# 50 minutes, distilled from base; accuracy 66.0 % by FER2013's labels
	$(TRAIN) release_nano $(DATA) --out runs/nano --resume
	$(RELEASE) nano runs/nano $(CSV) $(VOTES)
# 60 minutes; accuracy 86.9 % by the majority vote (FER+), seven classes, with the prior strength of best macro-F1
	$(TRAIN) release_photo $(DATA) --out runs/photo --resume
	$(RELEASE) photo runs/photo $(CSV) $(VOTES) auto
# 12 minutes, fine-tuned from photo; accuracy 87.8 % by the majority vote (FER+), eight classes
	$(TRAIN) release_ferplus $(DATA) --init photo --out runs/ferplus --resume
	$(RELEASE) ferplus runs/ferplus $(CSV) $(VOTES)
# 5 minutes: accuracy with inaccurate boxes and on small faces; 40 minutes: ablation of the recipes
	$(RUN)/python experiments/shipped.py $(CSV) $(VOTES)
	$(RUN)/python experiments/ablation.py $(CSV) $(VOTES) runs/ablation
# an hour, most of it for corrupted faces; the result of each model is kept
	$(RUN)/python experiments/evaluation_reports.py $(CSV) $(VOTES)
	$(RUN)/python experiments/model_card.py
	$(RUN)/python experiments/tables.py

# The first Python that is 3.11 or newer and can create virtual environments.
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
