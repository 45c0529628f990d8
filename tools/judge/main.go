// Command judge asks the API server's own ValidatingAdmissionPolicy plug-in about admission requests, without a
// cluster.
//
// Standard input is a stream of JSON objects as Kubernetes writes them: policies, bindings and namespaces, which are
// installed first wherever they stand, and AdmissionReviews. Each AdmissionReview is answered by one line on standard
// output: the policies that refuse it, by name, each with the messages of all its failed validations. An empty object
// means that the request may pass.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
)

const broke = 70

func main() {
	klog.SetLogger(klog.Logger{}) // silences the plug-in, which tells of every refresh
	err := admissionv1.AddToScheme(scheme.Scheme)
	if err == nil {
		err = judge(os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(broke)
	}
}

// judge answers every AdmissionReview of in by one line of out.
func judge(in io.Reader, out io.Writer) error {
	cluster, reviews, err := read(in)
	if err != nil {
		return err
	}
	rules, stop, err := cluster.start()
	if err != nil {
		return err
	}
	defer stop()

	lines := bufio.NewWriter(out)
	answers := json.NewEncoder(lines)
	answers.SetEscapeHTML(false)
	for _, review := range reviews {
		request, err := attributes(review.Request)
		if err != nil {
			return err
		}
		refusals, err := rules.refusals(request)
		if err != nil {
			return fmt.Errorf("%s %s: %w", request.GetOperation(), request.GetName(), err)
		}
		if err := answers.Encode(refusals); err != nil {
			return err
		}
	}
	return lines.Flush()
}

// read sorts the objects of the stream into what is installed and what is asked.
func read(in io.Reader) (cluster cluster, reviews []*admissionv1.AdmissionReview, err error) {
	for stream := json.NewDecoder(in); ; {
		var raw json.RawMessage
		if err := stream.Decode(&raw); errors.Is(err, io.EOF) {
			return cluster, reviews, nil
		} else if err != nil {
			return cluster, nil, fmt.Errorf("standard input is not a stream of JSON objects: %w", err)
		}
		object, err := decode(raw)
		if err != nil {
			return cluster, nil, err
		}
		if review, ok := object.(*admissionv1.AdmissionReview); ok && review.Request != nil {
			reviews = append(reviews, review)
		} else if err := cluster.install(object); err != nil {
			return cluster, nil, err
		}
	}
}
