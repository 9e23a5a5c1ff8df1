package export

import (
	"context"
	"fmt"
	"os"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
)

// newResource describes the process. The environment goes before what the program says.
func newResource(ctx context.Context, o *Options) *resource.Resource {
	host, _ := os.Hostname() // it is there to be read by people
	r, err := resource.New(ctx,
		resource.WithAttributes(
			attribute.String("service.name", o.Service), attribute.String("service.version", o.Version),
			attribute.String("service.instance.id", fmt.Sprintf("%s:%d", host, os.Getpid())),
		),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv(),
	)
	if err != nil {
		o.Logger.Warn("the description of the process is not complete: see OTEL_RESOURCE_ATTRIBUTES", "error", err)
	}
	return r
}
