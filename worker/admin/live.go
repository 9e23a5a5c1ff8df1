package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

const (
	// maxLive is how many streams of overviews are open at once.
	maxLive = 64
	// heartbeatEvery is how long a stream is silent at most.
	heartbeatEvery = 10 * time.Second
)

const (
	livePath  = "/" + Version + "/overview/stream"
	eventType = "text/event-stream"
)

func (a *API) registerOverviewStream() {
	op := reading("stream-overview", livePath, tagGroups, "Follow the overview",
		"A stream of server-sent events: an event overview, whose data are as in /v1/overview, about every two seconds; the first one with history. A comment is sent where there "+
			"is nothing else for ten seconds. Where too many streams are open it is 503: ask for /v1/overview now and then.")
	op.Responses = map[string]*huma.Response{"200": {Description: "the events", Content: map[string]*huma.MediaType{eventType: {}}}}
	register(a, op, func(context.Context, *struct{}) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: a.streamOverview}, nil
	})
}

// EndStreams ends the streams of overviews, and lets none begin. A service that mounts Handler
// calls it when its server is to shut down, which waits for them:
// server.RegisterOnShutdown(api.EndStreams). Clients go on with single requests.
func (a *API) EndStreams() { a.overviews.endStreams() }

// streamOverview sends overviews until the client goes, or streams are to end.
func (a *API) streamOverview(ctx huma.Context) {
	ctx.SetHeader("Content-Type", eventType)
	ctx.SetHeader("X-Accel-Buffering", "no") // a proxy must not hold events back
	var sent *Overview
	for {
		event, o, err := a.nextEvent(ctx.Context(), sent)
		if err != nil {
			return // the client has gone, or the API was closed
		}
		if _, err := ctx.BodyWriter().Write(event); err != nil {
			return // the client has gone, or does not read
		}
		if sent = o; !a.awaitNext(ctx.Context()) {
			return
		}
	}
}

// nextEvent returns the next event of a stream with its overview. Where there is no other one than
// was sent, it is a comment.
func (a *API) nextEvent(ctx context.Context, sent *Overview) ([]byte, *Overview, error) {
	waiting, cancel := context.WithTimeout(ctx, heartbeatEvery)
	defer cancel()
	o, err := a.overviews.fresh(waiting)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil, err == nil && o == sent:
		return []byte(": nothing new\n\n"), sent, nil
	case err != nil:
		return nil, nil, err
	}
	data, isLast := a.overviews.encodedOf(o)
	if sent == nil || !isLast {
		whole := *o
		whole.History = a.overviews.history()
		if data, err = json.Marshal(&whole); err != nil {
			return nil, nil, err
		}
	}
	return fmt.Appendf(nil, "event: overview\ndata: %s\n\n", data), o, nil // JSON has no line breaks
}

// awaitNext waits until the last overview is stale. It reports whether the stream goes on.
func (a *API) awaitNext(ctx context.Context) bool {
	timer := time.NewTimer(min(heartbeatEvery, a.overviews.untilStale()))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-a.overviews.finished:
	}
	return false
}

func isLive(r *http.Request) bool { return r.Method == http.MethodGet && r.URL.Path == livePath }

// streamsEnd reports whether EndStreams was called.
func (a *API) streamsEnd() bool {
	select {
	case <-a.overviews.finished:
		return true
	default:
		return false
	}
}
