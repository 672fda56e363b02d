package web

import "net/http"

// Web serves the pages.
type Web struct {
	mux *http.ServeMux
}

// Handler returns the handler for every page and for /assets/.
func (w *Web) Handler() http.Handler { return w.mux }
