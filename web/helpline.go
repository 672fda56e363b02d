package web

import "matchday/id"

// defaultHelplines are the helplines that the default jurisdictions want to see on every page.
func defaultHelplines() map[id.Jurisdiction]string {
	return map[id.Jurisdiction]string{
		"US-NJ": "1-800-GAMBLER", "US-PA": "1-800-GAMBLER", "CA-ON": "ConnexOntario, 1-866-531-2600",
	}
}
