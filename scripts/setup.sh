#!/usr/bin/env bash
# Installs what the tests need beyond Go, from Debian's packages: Chromium for the browser tests and
# MariaDB for those of the ledger on database clusters. The server's core package starts no service.
# Does nothing where both are there already. Elsewhere than on Debian it says what to install.
set -euo pipefail

have() { PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null 2>&1; }

packages=()
if ! have chromium && ! have chromium-browser && ! have google-chrome; then
	packages+=(chromium fonts-dejavu-core)
fi
if ! have mariadbd || ! have mariadb-install-db; then
	packages+=(mariadb-server-core)
fi
if [ ${#packages[@]} -eq 0 ]; then
	exit 0
fi
if ! have apt-get; then
	echo "setup: the tests need Chromium, mariadbd and mariadb-install-db on the PATH; install them with your system's packages" >&2
	exit 1
fi
sudo=""
if [ "$(id -u)" -ne 0 ]; then
	sudo=sudo
fi
echo "setup: installing ${packages[*]} from Debian's packages"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
$sudo apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
