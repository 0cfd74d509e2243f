//! [`Handler`]: DNS messages in, DNS messages out.

use super::{
    forward::Forwarder,
    zone::{Answer, Data, Zone},
};
use async_trait::async_trait;
use hickory_proto::{
    op::{Metadata, OpCode, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, PTR, SRV},
    },
};
use hickory_server::{
    net::runtime::Time,
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use parking_lot::RwLock;
use std::{net::IpAddr, sync::Arc};

/// Seconds for which clients may remember an answer: CoreDNS's default for the cluster's names.
const TTL: u32 = 5;

/// Answers from the zone, or from upstream.
pub(super) struct Handler {
    zone: Arc<RwLock<Zone>>,
    upstream: Forwarder,
}

/// An answer ready to be sent.
#[derive(Default)]
struct Reply {
    code: ResponseCode,
    authoritative: bool,
    answers: Vec<Record>,
    additionals: Vec<Record>,
}

impl Handler {
    pub(super) fn new(zone: Arc<RwLock<Zone>>, upstream: Forwarder) -> Self {
        Self { zone, upstream }
    }

    async fn answer(&self, request: &Request) -> Reply {
        let refused = |code| Reply { code, ..Reply::default() };
        if request.metadata.op_code != OpCode::Query {
            return refused(ResponseCode::NotImp);
        }
        let Ok(info) = request.request_info() else { return refused(ResponseCode::FormErr) };
        let name = Name::from(info.query.name().clone());
        let kind = info.query.query_type();
        let found = self.zone.read().look_up(&name.to_ascii());
        match found {
            Answer::NoSuchName => Reply { code: ResponseCode::NXDomain, authoritative: true, ..Reply::default() },
            Answer::Found(data) => records(&name, kind, data),
            Answer::Elsewhere => match self.upstream.ask(request.as_slice()).await {
                Some(message) => Reply {
                    code: message.metadata.response_code,
                    authoritative: false,
                    answers: message.answers,
                    additionals: Vec::new(),
                },
                None => refused(ResponseCode::ServFail),
            },
        }
    }
}

#[async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut send: R) -> ResponseInfo {
        let reply = self.answer(request).await;
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = reply.code;
        metadata.authoritative = reply.authoritative;
        metadata.recursion_available = true;
        let builder = MessageResponseBuilder::from_message_request(request);
        let response = builder.build(metadata, &reply.answers, &[], &[], &reply.additionals);
        match send.send_response(response).await {
            Ok(info) => info,
            Err(error) => {
                tracing::debug!(%error, "a DNS answer was not sent");
                hickory_proto::op::Header { metadata, counts: Default::default() }.into()
            }
        }
    }
}

/// The records of the type that was asked for. An alias answers every question.
fn records(name: &Name, kind: RecordType, data: Vec<Data>) -> Reply {
    let mut reply = Reply { authoritative: true, ..Reply::default() };
    let wanted = |t: RecordType| kind == t || kind == RecordType::ANY;
    for item in data {
        let rdata = match item {
            Data::Address(IpAddr::V4(a)) if wanted(RecordType::A) => RData::A(A(a)),
            Data::Address(IpAddr::V6(a)) if wanted(RecordType::AAAA) => RData::AAAA(AAAA(a)),
            Data::Alias(target) => match Name::from_ascii(&target) {
                Ok(target) => RData::CNAME(CNAME(target)),
                Err(_) => continue,
            },
            Data::Pointer(target) if wanted(RecordType::PTR) => match Name::from_ascii(&target) {
                Ok(target) => RData::PTR(PTR(target)),
                Err(_) => continue,
            },
            Data::Port(port, target, address) if wanted(RecordType::SRV) => {
                let Ok(target) = Name::from_ascii(&target) else { continue };
                let glue = match address {
                    IpAddr::V4(a) => RData::A(A(a)),
                    IpAddr::V6(a) => RData::AAAA(AAAA(a)),
                };
                reply.additionals.push(Record::from_rdata(target.clone(), TTL, glue));
                RData::SRV(SRV::new(0, 100, port, target))
            }
            _ => continue,
        };
        reply.answers.push(Record::from_rdata(name.clone(), TTL, rdata));
    }
    reply
}
