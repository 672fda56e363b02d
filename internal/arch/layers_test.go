package arch

import (
	"strconv"
	"strings"
	"testing"
)

// layers is the table of docs/ARCHITECTURE.md: a room imports only rooms of a lower layer.
var layers = map[string]int{
	"cmd": 8,
	"sim": 7,
	"app": 6,
	"api": 5, "web": 5,
	"sportsbook": 4, "history": 4, "notify": 4,
	"ledger": 3, "player": 3, "jurisdiction": 3, "payments": 3,
	"stream": 2,
	"money":  0, "odds": 0, "id": 0, "errs": 0,
	"client": 0, // what other services import: the standard library alone
}

// layerOf returns a room's layer; everything below internal is layer 1.
func layerOf(room string) (int, bool) {
	if strings.HasPrefix(room, "internal/") {
		return 1, true
	}
	layer, ok := layers[room]
	return layer, ok
}

func TestRoomsImportOnlyLowerLayers(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		own, ok := layerOf(s.room)
		if !ok {
			t.Errorf("%s: room %q has no layer; a new room needs a decision note and a line in the table", s.path, s.room)
			continue
		}
		for _, spec := range s.file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil || !strings.HasPrefix(path, module+"/") {
				if own == 0 && !s.test && strings.Contains(path, ".") {
					t.Errorf("%s imports %s: value types use only the standard library", s.at(spec), path)
				}
				continue
			}
			room := roomOf(path)
			if room == s.room {
				continue
			}
			layer, ok := layerOf(room)
			if !ok || layer > own || (layer == own && own != 1 && own != 0) {
				t.Errorf("%s imports %s: layer %d may not import layer %d", s.at(spec), path, own, layer)
			}
		}
	}
}

func TestNoRoomIsNamedForWhatItIsNot(t *testing.T) {
	t.Parallel()
	refused := map[string]bool{"util": true, "utils": true, "common": true, "models": true, "types": true, "helpers": true, "misc": true}
	for _, s := range sources(t) {
		if refused[s.file.Name.Name] {
			t.Errorf("%s: package %s says nothing about what is in it", s.path, s.file.Name.Name)
		}
	}
}
