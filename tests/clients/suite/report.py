"""The table of cases and languages, and what went wrong."""

MARKS = {"passed": "✓", "failed": "FAILED", "skipped": "–", None: ""}


class Results:
    def __init__(self, cases, languages):
        self.cases = cases
        self.rows = list(cases)
        self.languages = languages
        self.cells = {}
        self.reasons = {}
        self.libraries = {}

    def uses(self, language, library):
        self.libraries[language] = library

    def add(self, language, row, why, seconds):
        if row not in self.rows:
            self.rows.append(row)
        self.cells[row, language] = ("failed" if why else "passed", seconds)
        if why:
            self.reasons[row, language] = why
            print(f"flotilla: {language}, {row}: {why}", flush=True)

    def skip(self, language, row, reason):
        self.cells[row, language] = ("skipped", 0)
        self.reasons[row, language] = reason

    def _count(self, state):
        return sum(1 for found, _ in self.cells.values() if found == state)

    @property
    def passed(self):
        return self._count("passed")

    @property
    def failed(self):
        # A cell that nobody filled is a case that was not run.
        return self._count("failed") + sum(1 for row in self.cases for language in self.languages if (row, language) not in self.cells)

    def table(self):
        width = max(len(row) for row in self.rows)
        columns = {language: max(len(language), 12) for language in self.languages}
        lines = ["  ".join([" " * width, *(f"{language:<{columns[language]}}" for language in self.languages)]).rstrip()]
        for row in self.rows:
            cells = [self._cell(row, language, columns[language]) for language in self.languages]
            lines.append("  ".join([f"{row:<{width}}", *cells]).rstrip())
        lines.append("")
        lines += [f"{language}: {library}" for language, library in self.libraries.items()]
        skipped = {}
        for (row, language), (state, _) in self.cells.items():
            if state == "skipped":
                skipped.setdefault((language, self.reasons[row, language]), []).append(row)
        lines += [f"– {language}: {', '.join(rows)}: {reason}" for (language, reason), rows in skipped.items()]
        return "\n" + "\n".join(lines)

    def _cell(self, row, language, width):
        state, seconds = self.cells.get((row, language), (None, 0))
        text = MARKS[state]
        if state == "passed":
            text += f" {seconds:.2f} s"
        return f"{text:<{width}}"

    def failures(self):
        failed = [(cell, why) for cell, why in self.reasons.items() if self.cells[cell][0] == "failed"]
        return "\n".join(["", *(f"FAILED {language}, {row}: {why}" for (row, language), why in failed)])
