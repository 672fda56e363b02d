package web

import (
	"fmt"
	"maps"
	"time"
	_ "time/tzdata" // pages show local times also where the machine has no zone files

	"matchday/id"
	"matchday/jurisdiction"
)

// withDefaults returns what is configured by jurisdiction over the defaults: naming one entry leaves
// the others as they are, and an empty one drops a default.
func withDefaults(defaults, configured map[id.Jurisdiction]string) map[id.Jurisdiction]string {
	maps.Copy(defaults, configured)
	return defaults
}

// defaultTimeZones are those of most people of the default jurisdictions.
func defaultTimeZones() map[id.Jurisdiction]string {
	return map[id.Jurisdiction]string{
		"US-NJ": "America/New_York", "US-PA": "America/New_York", "CA-ON": "America/Toronto",
	}
}

// loadZones returns the time zone of each jurisdiction's pages; UTC where none is named.
func loadZones(all []jurisdiction.Jurisdiction, names map[id.Jurisdiction]string) (map[id.Jurisdiction]*time.Location, error) {
	names = withDefaults(defaultTimeZones(), names)
	zones := make(map[id.Jurisdiction]*time.Location, len(all))
	for _, j := range all {
		zone, err := time.LoadLocation(names[j.Code]) // no name is UTC
		if err != nil {
			return nil, fmt.Errorf("time zone of %s: %w", j.Code, err)
		}
		zones[j.Code] = zone
	}
	return zones, nil
}

// dayName names a day as people do on a site about games: "Today", "Tomorrow", "Sun Nov 28".
func dayName(day, now time.Time) string {
	day, now = midnight(day), midnight(now.In(day.Location()))
	switch {
	case day.Equal(now):
		return "Today"
	case day.Equal(now.AddDate(0, 0, 1)):
		return "Tomorrow"
	case day.Equal(now.AddDate(0, 0, -1)):
		return "Yesterday"
	}
	return day.Format("Mon Jan 2")
}

func midnight(t time.Time) time.Time {
	year, month, day := t.Date()
	return time.Date(year, month, day, 0, 0, 0, 0, t.Location())
}
