package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
)

//go:embed assets
var assetFiles embed.FS

// assets are the style sheets, scripts and pictures of the pages. Their address holds a digest of
// all of them, so a browser may keep them for ever and a new build is never mixed with an old one.
type assets struct {
	version string
	files   map[string][]byte // by path below assets/
}

func loadAssets() (*assets, error) {
	a := &assets{files: map[string][]byte{}}
	digest := sha256.New()
	root, err := fs.Sub(assetFiles, "assets")
	if err != nil {
		return nil, fmt.Errorf("open the assets: %w", err)
	}
	err = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		a.files[name] = data
		fmt.Fprintf(digest, "%s %d\n", name, len(data))
		digest.Write(data)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the assets: %w", err)
	}
	a.version = hex.EncodeToString(digest.Sum(nil)[:8])
	return a, nil
}

// path returns the address of a file.
func (a *assets) path(name string) string { return "/assets/" + a.version + "/" + name }

// serve answers a file. Another version than ours is an old page's request: it gets today's file,
// uncached, rather than a broken page.
func (a *assets) serve(rw http.ResponseWriter, r *http.Request) {
	name := path.Clean(r.PathValue("path"))
	data, ok := a.files[name]
	if !ok {
		http.NotFound(rw, r)
		return
	}
	h := rw.Header()
	h.Set("Content-Type", contentType(name))
	h.Set("Cache-Control", "no-cache")
	if r.PathValue("version") == a.version {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = rw.Write(data) // the reader has gone; there is nobody to tell
}

func (a *assets) favicon(rw http.ResponseWriter, r *http.Request) {
	http.Redirect(rw, r, a.path("mark.svg"), http.StatusFound)
}

// contentType does not depend on the machine's MIME table for what we serve.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".webmanifest":
		return "application/manifest+json"
	}
	return mime.TypeByExtension(path.Ext(name))
}
