//! `carrel.circulation.v1.PrivacyService`.

use carrel_proto::circulation::v1::privacy_service_server::PrivacyService;
use carrel_proto::circulation::v1::{
    GetPrivacySettingsRequest, GetPrivacySettingsResponse, PrivacySettings,
    SetPrivacySettingsRequest, SetPrivacySettingsResponse,
};
use carrel_runtime::Call;
use carrel_runtime::wire::required;
use tonic::{Request, Response, Status};

use crate::{Circulation, privacy};

/// Serves the settings of confidentiality.
#[derive(Debug, Clone)]
pub struct PrivacyRpcs(pub Circulation);

#[tonic::async_trait]
impl PrivacyService for PrivacyRpcs {
    async fn get_privacy_settings(
        &self,
        _request: Request<GetPrivacySettingsRequest>,
    ) -> Result<Response<GetPrivacySettingsResponse>, Status> {
        let cut_after_days = privacy::cut_after_days(&self.0).await?;
        Ok(Response::new(GetPrivacySettingsResponse {
            privacy_settings: Some(PrivacySettings { cut_after_days }),
        }))
    }

    async fn set_privacy_settings(
        &self,
        request: Request<SetPrivacySettingsRequest>,
    ) -> Result<Response<SetPrivacySettingsResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let given = required("privacy_settings", &request.privacy_settings)?;
        let cut_after_days =
            privacy::set_cut_after_days(&self.0, &key, given.cut_after_days).await?;
        Ok(Response::new(SetPrivacySettingsResponse {
            privacy_settings: Some(PrivacySettings { cut_after_days }),
        }))
    }
}
