package main

import (
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/kubernetes/scheme"
)

// attributes is the request as an admission plug-in gets it.
func attributes(request *admissionv1.AdmissionRequest) (admission.Attributes, error) {
	object, err := decodeOptional(request.Object)
	if err != nil {
		return nil, err
	}
	oldObject, err := decodeOptional(request.OldObject)
	if err != nil {
		return nil, err
	}
	requester := &user.DefaultInfo{Name: request.UserInfo.Username, Groups: request.UserInfo.Groups}
	return admission.NewAttributesRecord(
		object, oldObject, schema.GroupVersionKind(request.Kind), request.Namespace, request.Name,
		schema.GroupVersionResource(request.Resource), request.SubResource, admission.Operation(request.Operation),
		nil, false, requester,
	), nil
}

func decodeOptional(raw runtime.RawExtension) (runtime.Object, error) {
	if len(raw.Raw) == 0 {
		return nil, nil
	}
	return decode(raw.Raw)
}

// decode gives built-in kinds their Go type, as the API server does, and leaves custom kinds untyped.
func decode(raw []byte) (runtime.Object, error) {
	object, _, err := scheme.Codecs.UniversalDeserializer().Decode(raw, nil, nil)
	if runtime.IsNotRegisteredError(err) {
		object, _, err = unstructured.UnstructuredJSONScheme.Decode(raw, nil, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot decode %.80s: %w", raw, err)
	}
	return object, nil
}
