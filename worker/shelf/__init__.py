"""The worker's side of the shelf (model management): what lies in the models folder, and which model this worker runs.

What it does: keeper.py makes the rows agree with the folder (models_folder.py), with what headers say and plans promise
(facts.py), and has the blocks of removed models deleted (model_blocks.py). choice.py loads what was chosen or what it
falls back to, with notes of loads that ended in a crash (load_notes.py); switch.py sees another choice.
What it refuses to know: how files come into the folder (web/downloader), and who writes which column (store/shelf).
To add a step of a change of models: switch.py before the process ends, choice.py after it was started again.
"""
