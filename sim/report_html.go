package sim

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"time"
)

//go:embed report.html.tmpl
var reportTemplate string

// mark is a moment on the time axis of the charts.
type mark struct {
	X     float64
	Label string
	Kind  string // kickoff or whistle
	Title string
}

// tick is a label of an axis.
type tick struct {
	At    float64
	Label string
}

// chart is one measure over the day, drawn as an inline SVG.
type chart struct {
	Title, Unit, Note, Class string
	Peak                     string
	Width, Height            float64
	Area, Line               string
	YTicks, XTicks           []tick
	Marks                    []mark
	Values                   []float64 // for the pointer's read-out
	First                    bool
}

// The plot area of a chart, in SVG units.
const (
	chartWidth  = 1040.0
	chartHeight = 170.0
	chartLeft   = 56.0
	chartRight  = 12.0
	chartTop    = 26.0
	chartBottom = 24.0
)

// renderHTML writes the report as one self-contained page.
func (r *SundayReport) renderHTML(w io.Writer) error {
	page, err := template.New("report").Funcs(template.FuncMap{
		"thousands": thousands, "number": number, "money": minorText, "ms": millis, "join": strings.Join,
		"score": func(g GameReport) string { return fmt.Sprintf("%d–%d", g.AwayScore, g.HomeScore) },
	}).Parse(reportTemplate)
	if err != nil {
		return fmt.Errorf("report page: %w", err)
	}
	eastern, err := time.LoadLocation("America/New_York")
	if err != nil {
		return fmt.Errorf("report page: %w", err)
	}
	for i := range r.Games {
		r.Games[i].Kickoff, r.Games[i].Whistle = r.Games[i].Kickoff.In(eastern), r.Games[i].Whistle.In(eastern)
	}
	data := struct {
		*SundayReport
		Charts []chart
		Sound  bool
		Start  int64 // ms, for the pointer's clock
		End    int64
	}{SundayReport: r, Charts: r.charts(eastern), Sound: r.broken() == nil, Start: r.Series.Start.UnixMilli(), End: r.Series.End.UnixMilli()}
	if err := page.Execute(w, data); err != nil {
		return fmt.Errorf("report page: %w", err)
	}
	return nil
}

func (r *SundayReport) charts(zone *time.Location) []chart {
	s := r.Series
	charts := []chart{
		r.chart(zone, "Deposits", "per second", "Money comes in ahead of every kick-off.", "deposits", s.Deposits),
		r.chart(zone, "Bets accepted", "per second", "Bets follow the deposits into kick-off.", "bets", s.Bets),
		r.chart(zone, "Balance and history reads", "per second", "A saw-tooth: each score and each whistle sends players to look.", "reads", s.Reads),
		r.chart(zone, "Payouts visible in history", "per second", "A surge after every final whistle.", "payouts", s.Payouts),
		r.chart(zone, "History lag", "ms, worst in the step", "Now minus the commit time of the last record shown.", "lag", s.LagMS),
		r.chart(zone, "Bet placement, 99th percentile", "ms", "From the moment the bet was due.", "latency", s.BetP99MS),
		r.chart(zone, "Reads, 99th percentile", "ms", "From the moment the read was due.", "latency", s.ReadP99MS),
	}
	charts[0].First = true
	return charts
}

func (r *SundayReport) chart(zone *time.Location, title, unit, note, class string, values []float64) chart {
	top, step := niceScale(maxOf(values))
	c := chart{
		Title: title, Unit: unit, Note: note, Class: class, Width: chartWidth, Height: chartHeight,
		Values: values, Peak: millis(maxOf(values)),
	}
	y := func(v float64) float64 {
		return chartTop + (chartHeight-chartTop-chartBottom)*(1-v/top)
	}
	for v := 0.0; v <= top+step/2; v += step {
		c.YTicks = append(c.YTicks, tick{At: y(v), Label: shortNumber(v)})
	}
	span := r.Series.End.Sub(r.Series.Start)
	x := func(at time.Time) float64 {
		return chartLeft + (chartWidth-chartLeft-chartRight)*float64(at.Sub(r.Series.Start))/float64(max(span, 1))
	}
	for at := r.Series.Start.Truncate(time.Hour).Add(time.Hour); at.Before(r.Series.End); at = at.Add(time.Hour) {
		c.XTicks = append(c.XTicks, tick{At: x(at), Label: at.In(zone).Format("3 pm")})
	}
	last := -100.0
	for _, g := range r.Games {
		m := mark{X: x(g.Kickoff), Kind: "kickoff", Title: g.Away + " at " + g.Home + ": kick-off"}
		if m.X-last > 60 {
			m.Label, last = "kick-off", m.X
		}
		c.Marks = append(c.Marks, m, mark{X: x(g.Whistle), Kind: "whistle", Title: g.Away + " at " + g.Home + ": final whistle"})
	}
	c.Line, c.Area = paths(values, y)
	return c
}

// paths returns the outline of the values and the same closed down to the axis.
func paths(values []float64, y func(float64) float64) (line, area string) {
	if len(values) == 0 {
		return "", ""
	}
	var b strings.Builder
	width := (chartWidth - chartLeft - chartRight) / float64(len(values))
	for i, v := range values {
		verb := "L"
		if i == 0 {
			verb = "M"
		}
		fmt.Fprintf(&b, "%s%.1f %.1f", verb, chartLeft+(float64(i)+0.5)*width, y(v))
	}
	line = b.String()
	floor := chartHeight - chartBottom
	return line, fmt.Sprintf("%sL%.1f %.1fL%.1f %.1fZ", line, chartLeft+(float64(len(values))-0.5)*width, floor, chartLeft+width/2, floor)
}

// niceScale returns an axis end at or above most, and its step, with two to five steps of 1, 2 or 5
// times a power of ten.
func niceScale(most float64) (top, step float64) {
	if most <= 0 {
		return 1, 1
	}
	step = math.Pow(10, math.Floor(math.Log10(most/2)))
	for _, factor := range []float64{1, 2, 5, 10} {
		if most/(step*factor) <= 4 {
			step *= factor
			break
		}
	}
	return step * math.Ceil(most/step), step
}

func maxOf(values []float64) float64 {
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	return most
}

func shortNumber(v float64) string {
	switch {
	case v >= 10_000:
		return fmt.Sprintf("%gk", v/1000)
	case v >= 1000:
		return thousands(int64(v))
	}
	return fmt.Sprintf("%g", math.Round(v*1000)/1000)
}

// minorText writes an amount in minor units of a currency with two digits.
func minorText(minor int64) string { return thousands(minor / 100) }

// millis writes a time in milliseconds with the digits that matter.
func millis(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return thousands(int64(v + 0.5))
}
