package app

import (
	"fmt"
	"slices"
	"strings"
)

// RoleAll runs every module in one process.
const RoleAll = "all"

// module is one wired part of the process.
type module string

// The modules, each one room or one side of a room.
const (
	moduleStreams    module = "streams"     // JetStream in the process, or a cluster elsewhere
	moduleLedger     module = "ledger"      // shard writers, hold expiry
	moduleRelays     module = "relays"      // shard logs to streams
	modulePlayers    module = "players"     // identity and sessions
	modulePayments   module = "payments"    // deposits and withdrawals
	moduleSportsbook module = "sportsbook"  // offer, placement, settlement, payout commands
	moduleHistory    module = "history"     // bet history
	moduleWebhooks   module = "webhooks"    // deliveries to other systems
	moduleHTTP       module = "http"        // REST API, live stream, pages
	moduleLedgerHTTP module = "ledger-http" // REST API of the ledger, and of history and webhooks beside it, for services
	moduleHealth     module = "health"      // /healthz, /readyz and /metrics where there is no API that has them
)

// needs says which modules must run, in this process, before each one. Remote twins of rooms, which
// let a role run apart from what it needs, come with the clustered ledger.
var needs = []struct {
	module module
	needs  []module
}{
	{moduleStreams, nil},
	{moduleLedger, nil},
	{moduleRelays, []module{moduleStreams, moduleLedger}},
	{modulePlayers, nil},
	{modulePayments, []module{moduleLedger}},
	{moduleSportsbook, []module{moduleStreams, moduleLedger, moduleRelays}},
	{moduleHistory, []module{moduleStreams, moduleLedger, moduleRelays}},
	{moduleWebhooks, []module{moduleStreams, moduleLedger, moduleRelays}},
	{moduleLedgerHTTP, []module{moduleLedger}},
	{moduleHealth, []module{moduleLedger}},
	{moduleHTTP, []module{moduleLedger, modulePlayers, modulePayments, moduleSportsbook, moduleHistory, moduleWebhooks}},
}

// roles name sets of modules that an operator can start as one process.
var roles = []struct {
	name    string
	modules []module
	about   string
}{
	{RoleAll, []module{moduleStreams, moduleLedger, moduleRelays, modulePlayers, modulePayments, moduleSportsbook, moduleHistory, moduleWebhooks, moduleHTTP}, "the whole platform in one process"},
	{"ledger", []module{moduleStreams, moduleLedger, moduleRelays, moduleHealth}, "the books and their streams, nothing that takes requests"},
	{"ledger-api", []module{moduleStreams, moduleLedger, moduleRelays, moduleLedgerHTTP}, "the books, their streams and the ledger's API; several processes can share the shards"},
	{"webhooks", []module{moduleStreams, moduleLedger, moduleRelays, moduleWebhooks, moduleHealth}, "the books and the deliveries to other systems; with `ledger-api` services say who hears of what, in several processes too"},
	{"books", []module{moduleStreams, moduleLedger, moduleRelays, moduleHistory, moduleHealth}, "the books and the bet history, to catch up or to be audited; with `ledger-api` services read it, in several processes too"},
}

// modulesOf returns the modules of the named roles in start order. Unknown roles are errors, as is
// a set that lacks what one of its modules needs.
func modulesOf(names []string) ([]module, error) {
	wanted := map[module]bool{}
	for _, name := range names {
		found := false
		for _, r := range roles {
			if r.name == name {
				found = true
				for _, m := range r.modules {
					wanted[m] = true
				}
			}
		}
		if !found {
			return nil, fmt.Errorf("role %q is unknown; there are %s", name, strings.Join(roleNames(), ", "))
		}
	}
	if wanted[moduleHTTP] {
		delete(wanted, moduleLedgerHTTP) // it has those routes too, on the same port
	}
	if wanted[moduleHTTP] || wanted[moduleLedgerHTTP] {
		delete(wanted, moduleHealth) // the same
	}
	var ordered []module
	for _, n := range needs {
		if !wanted[n.module] {
			continue
		}
		for _, need := range n.needs {
			if !slices.Contains(ordered, need) {
				return nil, fmt.Errorf("module %s needs %s in the same process", n.module, need)
			}
		}
		ordered = append(ordered, n.module)
	}
	return ordered, nil
}

// isOfOneProcess reports whether a module keeps what only one process can have: it cannot run where
// several share the shards.
func isOfOneProcess(m module) bool {
	return m == modulePlayers || m == modulePayments || m == moduleSportsbook
}

// needsOf returns what a module needs, as names.
func needsOf(m module) []string {
	var names []string
	for _, n := range needs {
		if n.module == m {
			for _, need := range n.needs {
				names = append(names, string(need))
			}
		}
	}
	return names
}

func roleNames() []string {
	var names []string
	for _, r := range roles {
		names = append(names, r.name)
	}
	return names
}

// RoleTable returns the table of roles and the table of modules as Markdown. docs/ARCHITECTURE.md
// holds it, and a test keeps the two equal.
func RoleTable() string {
	var b strings.Builder
	b.WriteString("| Role | What it is | Modules |\n|---|---|---|\n")
	for _, r := range roles {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.name, r.about, join(r.modules))
	}
	b.WriteString("\n| Module | Needs, in the same process |\n|---|---|\n")
	for _, n := range needs {
		fmt.Fprintf(&b, "| `%s` | %s |\n", n.module, join(n.needs))
	}
	return b.String()
}

func join(modules []module) string {
	if len(modules) == 0 {
		return "nothing"
	}
	var names []string
	for _, m := range modules {
		names = append(names, string(m))
	}
	return strings.Join(names, ", ")
}
