//! What a connection to the collector is made of: headers, and certificates out of files.

use std::path::Path;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::super::variables::Connection;
use super::SetupError;
use crate::outbound;

pub(super) fn headers(config: &Connection) -> Result<HeaderMap, SetupError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &config.headers {
        let invalid = || SetupError::Header(name.clone());
        let name = HeaderName::try_from(name.as_str()).map_err(|_| invalid())?;
        let mut value = HeaderValue::try_from(value.as_str()).map_err(|_| invalid())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

pub(super) fn grpc_tls(config: &Connection) -> Result<ClientTlsConfig, SetupError> {
    let tls = match &config.ca_file {
        Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    Ok(match &config.client_certificate {
        Some((chain, key)) => tls.identity(Identity::from_pem(read(chain)?, read(key)?)),
        None => tls,
    })
}

pub(super) fn tls(config: &Connection) -> Result<rustls::ClientConfig, SetupError> {
    let authorities = config.ca_file.as_deref().map(authorities).transpose()?;
    let identity = config.client_certificate.as_ref();
    let identity = identity.map(|(chain, key)| {
        let private = PrivateKeyDer::from_pem_slice(&read(key)?);
        let private = private.map_err(|source| no_pem(key, source))?;
        Ok::<_, SetupError>((certificates(chain)?, private))
    });
    Ok(outbound::tls(authorities, identity.transpose()?)?)
}

fn authorities(path: &Path) -> Result<rustls::RootCertStore, SetupError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found.map_err(|source| no_pem(path, source))? {
        none if none.is_empty() => Err(no_pem(path, rustls::pki_types::pem::Error::NoItemsFound)),
        some => Ok(some),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, SetupError> {
    std::fs::read(path).map_err(|source| SetupError::Read {
        path: path.to_owned(),
        source,
    })
}

fn no_pem(path: &Path, source: rustls::pki_types::pem::Error) -> SetupError {
    SetupError::Pem {
        path: path.to_owned(),
        source,
    }
}
