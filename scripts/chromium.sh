#!/bin/sh
# Makes a Chromium available to the tests of rendering: takes an installed one, and else installs
# Debian's where that is possible.
set -eu

for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" >/dev/null; then exit; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "flotilla: getting chromium" >&2
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends chromium; } >&2 && exit
    echo "flotilla: apt-get could not install chromium (its message is above)." >&2
else
    echo "flotilla: there is no Chromium on the PATH." >&2
fi
echo "flotilla: install chromium or google-chrome by hand, for instance with 'apt-get install chromium'." >&2
exit 1
