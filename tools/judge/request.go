package main

import (
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/kubernetes/scheme"
)

var objectInterfaces = admission.NewObjectInterfacesFromScheme(scheme.Scheme)

func init() {
	if err := admissionv1.AddToScheme(scheme.Scheme); err != nil {
		panic(err)
	}
}

// attributes is the request as admission plug-ins get it.
func attributes(request *admissionv1.AdmissionRequest) (admission.Attributes, error) {
	object, err := decodeOptional(request.Object)
	if err != nil {
		return nil, err
	}
	old, err := decodeOptional(request.OldObject)
	if err != nil {
		return nil, err
	}
	return admission.NewAttributesRecord(
		object, old, schema.GroupVersionKind(request.Kind), request.Namespace, request.Name,
		schema.GroupVersionResource(request.Resource), request.SubResource, admission.Operation(request.Operation),
		nil, false, requester(request.UserInfo),
	), nil
}

func requester(info authenticationv1.UserInfo) user.Info {
	return &user.DefaultInfo{Name: info.Username, UID: info.UID, Groups: info.Groups}
}

func decodeOptional(raw runtime.RawExtension) (runtime.Object, error) {
	if len(raw.Raw) == 0 || string(raw.Raw) == "null" {
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
