#!/usr/bin/env bash
# Installs what the tests need beyond Go, from Debian's packages: Chromium for the browser tests.
# Does nothing where it is there already. Elsewhere than on Debian it says what to install.
set -euo pipefail

have() { command -v "$1" >/dev/null 2>&1; }

if have chromium || have chromium-browser || have google-chrome; then
	exit 0
fi
if ! have apt-get; then
	echo "setup: the browser tests need Chromium on the PATH; install it with your system's packages" >&2
	exit 1
fi
sudo=""
if [ "$(id -u)" -ne 0 ]; then
	sudo=sudo
fi
echo "setup: installing chromium from Debian's packages"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
$sudo apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
chromium --version
